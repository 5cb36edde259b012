"""A PostgreSQL that is not the wheel's; and `make test-on PG=16`: the tests on one, by DATABASE_URL."""

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
from tests.servers import IN_A_HURRY, INIT_SQL, TEST_ONLY_SQL

FETCH = Path(__file__).resolve().parent.parent / "bin" / "other-postgresql"


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


def start_other_postgresql(
    native: Path, data: Path, log: Path, *, port: int, superuser_password: str, settings: Mapping[str, str]
) -> embedded.Server:
    """As `embedded.start_postgresql` starts the wheel's, from `native`, with a new cluster in `data`."""
    account = embedded.Account.for_postgresql()
    # Where the server's account can reach it: a cache below /root is closed to it.
    binaries = Path(shutil.copytree(native, data.with_name("native"), symlinks=True)) / "bin"
    _make_cluster(binaries, data, superuser_password, account)
    sockets = embedded.socket_directory(data)
    if sockets is not None:
        sockets.mkdir(mode=0o700)
        _give(sockets, account)
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "" if sockets is None else str(sockets),
        "shared_preload_libraries": "pg_stat_statements",
        "max_connections": "200",
        "port": str(port),
        **settings,
    }
    argv = [str(binaries / "postgres"), "-D", str(data)]
    argv += [word for name, value in options.items() for word in ("-c", f"{name}={value}")]
    with log.open("wb") as output:
        process = subprocess.Popen(
            argv, stdout=output, stderr=output, cwd="/", start_new_session=True, **embedded.run_as(account)
        )
    return embedded.Server("postgresql", process, port, log, signal.SIGINT, lambda: embedded.postgresql_accepts(port))


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
    """A server from `native` (bin, lib, share) with Paid's roles and databases, in `directory`."""

    def __init__(self, native: Path, directory: Path) -> None:
        self._native, self._directory = native, directory
        self._server: embedded.Server | None = None
        self.port = embedded.free_port()
        self._superuser = secrets.token_urlsafe(16)
        self._passwords = {f"PAID_{name}_PASSWORD": secrets.token_urlsafe(16) for name in ("OWNER", "APP")}

    def start(self) -> None:
        self._server = start_other_postgresql(
            self._native,
            self._directory / "data",
            self._directory / "log",
            port=self.port,
            superuser_password=self._superuser,
            settings=IN_A_HURRY,
        )
        self._server.wait_until_ready()
        self._initialise()

    def _initialise(self) -> None:
        embedded.run_psql(self.port, self._superuser, ["-f", str(INIT_SQL)], self._passwords)
        embedded.run_psql(self.port, self._superuser, ["-c", TEST_ONLY_SQL], {})
        statistics = ["-d", "template1", "-c", "CREATE EXTENSION pg_stat_statements"]
        embedded.run_psql(self.port, self._superuser, statistics, {})

    def environment(self) -> dict[str, str]:
        database = f"127.0.0.1:{self.port}/paid_development"
        return os.environ | {
            "DATABASE_URL": f"postgresql://paid_app:{self._passwords['PAID_APP_PASSWORD']}@{database}",
            "DATABASE_OWNER_URL": f"postgresql://paid_owner:{self._passwords['PAID_OWNER_PASSWORD']}@{database}",
        }

    def stop(self) -> None:
        if self._server is not None:
            self._server.stop()


def main() -> int:
    # `timeout` and the like: what this started must end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = Path(tempfile.mkdtemp(prefix="paid-other-"))
    directory.chmod(0o711)  # as root PostgreSQL walks through it as nobody
    server = OtherPostgresql(Path(sys.argv[1]), directory)
    try:
        server.start()
        argv = [sys.executable, "-m", "pytest", "-q", *sys.argv[2:]]
        return subprocess.run(argv, env=server.environment(), check=False).returncode
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
