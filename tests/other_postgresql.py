"""A PostgreSQL that is not the wheel's; `make test-on PG=16` runs the tests on one, by DATABASE_URL."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

from paid.stack import embedded
from tests.servers import IN_A_HURRY, INIT_SQL, READY_SECONDS, TEST_ONLY_SQL

FETCH = Path(__file__).resolve().parent.parent / "bin" / "other-postgresql"
# For tests that start servers of their own: the binaries of the PostgreSQL that `make test-on` chose.
BINARIES_VARIABLE = "PAID_TEST_POSTGRESQL_BINARIES"


def native_of(wanted: str) -> Path:
    """The directory with bin, lib and share of a major version, which is brought into the cache, or of a path.

    Ends the program with the script's exit code where that cannot bring it; it has said why.
    """
    if not wanted.isdecimal():
        return Path(wanted).resolve()
    done = subprocess.run([str(FETCH), wanted], stdout=subprocess.PIPE, text=True, check=False)
    if done.returncode:
        raise SystemExit(done.returncode)
    return Path(done.stdout.strip())


def within_reach(native: Path, directory: Path) -> Path:
    """The binaries of a copy in `directory`: a cache below /root is closed to the server's account."""
    return Path(shutil.copytree(native, directory / "native", symlinks=True)) / "bin"


def start_other_postgresql(
    binaries: Path, data: Path, log: Path, *, port: int, superuser_password: str, settings: Mapping[str, str]
) -> embedded.Server:
    """As `embedded.start_postgresql` starts the wheel's; the cluster in `data` is made where there is none."""
    account = embedded.Account.for_postgresql()
    sockets = sockets_of(data)
    if not data.exists():
        _make_cluster(binaries, data, superuser_password, account)
        sockets.mkdir(mode=0o700)
        _give(sockets, account)
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": str(sockets),
        "shared_preload_libraries": "pg_stat_statements",
        "max_connections": "200",
        "port": str(port),
        **settings,
    }
    argv = [str(binaries / "postgres"), "-D", str(data)]
    argv += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with log.open("ab") as output:
        process = subprocess.Popen(
            argv, stdout=output, stderr=output, cwd="/", start_new_session=True, **embedded.run_as(account)
        )
    return embedded.Server("postgresql", process, port, log, signal.SIGINT, lambda: embedded.postgresql_accepts(port))


def sockets_of(data: Path) -> Path:
    sockets = embedded.socket_directory(data)
    if sockets is None:
        raise SystemExit(f"The path of {data} is too long for a socket beside it.")
    return sockets


def _make_cluster(binaries: Path, data: Path, superuser_password: str, account: embedded.Account | None) -> None:
    """Without the built-in provider of locales, which PostgreSQL 15 and 16 do not have."""
    data.mkdir(mode=0o700)
    password = data.with_name("password")
    password.touch(mode=0o600)
    password.write_text(superuser_password)
    for path in (data, password):
        _give(path, account)
    argv = [str(binaries / "initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
    argv += ["-A", "scram-sha-256", "--no-sync", f"--pwfile={password}"]
    try:
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd="/", **embedded.run_as(account))
    finally:
        password.unlink()


def _give(path: Path, account: embedded.Account | None) -> None:
    if account is not None:
        os.chown(path, account.uid, account.gid)


class OtherPostgresql:
    """A server with Paid's roles and databases in `directory`; its account must reach both that and `binaries`."""

    def __init__(self, binaries: Path, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self._binaries, self._directory = binaries, directory
        self._data = directory / "data"
        self._settings = settings or {}
        self._server: embedded.Server | None = None
        self.port = embedded.free_port()
        self.superuser_password = secrets.token_urlsafe(16)
        names = ("PAID_OWNER", "PAID_APP", "PAID_BACKUP", "TEMPORAL_DATABASE")
        self.passwords = {f"{name}_PASSWORD": secrets.token_urlsafe(16) for name in names}

    def start(self) -> None:
        """Again after `stop` as often as one likes."""
        is_new = not self._data.exists()
        self._server = start_other_postgresql(
            self._binaries,
            self._data,
            self._directory / "log",
            port=self.port,
            superuser_password=self.superuser_password,
            settings={**IN_A_HURRY, **self._settings},
        )
        self._server.wait_until_ready(READY_SECONDS)
        if is_new:
            self._initialise()

    def _initialise(self) -> None:
        self.psql("-f", str(INIT_SQL))
        self.psql("-c", TEST_ONLY_SQL)
        self.psql("-d", "template1", "-c", "CREATE EXTENSION pg_stat_statements")

    def psql(self, *argv: str) -> None:
        """As the superuser, by the socket: the wheel's psql has no TLS, and this server may want it on the network."""
        by_socket = {"PGHOST": str(sockets_of(self._data))}
        embedded.run_psql(self.port, self.superuser_password, [*argv], self.passwords | by_socket)

    def environment(self) -> dict[str, str]:
        database = f"127.0.0.1:{self.port}/paid_development"
        return os.environ | {
            "DATABASE_URL": f"postgresql://paid_app:{self.passwords['PAID_APP_PASSWORD']}@{database}",
            "DATABASE_OWNER_URL": f"postgresql://paid_owner:{self.passwords['PAID_OWNER_PASSWORD']}@{database}",
            BINARIES_VARIABLE: str(self._binaries),
        }

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()


def main() -> int:
    # `timeout` and the like: what this started must end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = Path(tempfile.mkdtemp(prefix="paid-other-"))
    directory.chmod(0o711)  # as root PostgreSQL walks through it as nobody
    server = OtherPostgresql(within_reach(Path(sys.argv[1]), directory), directory)
    try:
        server.start()
        argv = [sys.executable, "-m", "pytest", "-q", *sys.argv[2:]]
        return subprocess.run(argv, env=server.environment(), check=False).returncode
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
