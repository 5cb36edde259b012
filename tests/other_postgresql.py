"""A PostgreSQL that is not the wheel's; `make test-on PG=16` runs the tests on one, by DATABASE_URL."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from paid.stack import embedded
from tests.servers import IN_A_HURRY, INIT_SQL, TEST_ONLY_SQL

# For tests that start servers of their own: the binaries of the PostgreSQL that `make test-on` chose.
BINARIES_VARIABLE = "PAID_TEST_POSTGRESQL_BINARIES"


class OtherPostgresql:
    """A server with Paid's roles and databases in `directory`; its account must reach both that and `binaries`."""

    def __init__(self, binaries: Path, directory: Path, settings: Mapping[str, str] | None = None) -> None:
        self._binaries, self._directory = binaries, directory
        self._sockets = directory / "sockets"
        self._settings = settings or {}
        self.port = embedded.free_port()
        self.superuser_password = secrets.token_urlsafe(16)
        names = ("PAID_OWNER", "PAID_APP", "PAID_BACKUP", "TEMPORAL_DATABASE")
        self.passwords = {f"{name}_PASSWORD": secrets.token_urlsafe(16) for name in names}

    def start(self) -> None:
        """Again after `stop` as often as one likes."""
        data, account = self._directory / "data", embedded.Account.for_postgresql()
        is_new = not data.exists()
        if is_new:
            self._make_cluster(data, account)
        settings = {
            **IN_A_HURRY,
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": str(self._sockets),
            "shared_preload_libraries": "pg_stat_statements",
            "max_connections": "200",
            "port": str(self.port),
            **self._settings,
        }
        argv = [str(self._binaries / "postgres"), "-D", str(data)]
        argv += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(
                argv, stdout=log, stderr=log, cwd="/", start_new_session=True, **embedded.run_as(account)
            )
        while not self._accepts():
            if self._process.poll() is not None:
                raise SystemExit(f"PostgreSQL ended:\n{(self._directory / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
        if is_new:
            self._initialise()

    def _make_cluster(self, data: Path, account: embedded.Account | None) -> None:
        password = self._directory / "password"
        password.write_text(self.superuser_password)
        for directory in (data, self._sockets):
            directory.mkdir(mode=0o700)
            if account is not None:
                os.chown(directory, account.uid, account.gid)
        argv = [str(self._binaries / "initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        argv += ["-A", "scram-sha-256", "--no-sync", f"--pwfile={password}"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd="/", **embedded.run_as(account))

    def _accepts(self) -> bool:
        argv = [str(embedded.postgresql_binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(self.port)]
        return subprocess.run(argv, check=False).returncode == 0

    def _initialise(self) -> None:
        self.psql("-f", str(INIT_SQL))
        self.psql("-c", TEST_ONLY_SQL)
        self.psql("-d", "template1", "-c", "CREATE EXTENSION pg_stat_statements")

    def psql(self, *argv: str) -> None:
        """As the superuser, by the socket: the wheel's psql has no TLS, and this server may want it on the network."""
        by_socket = {"PGHOST": str(self._sockets)}
        embedded.run_psql(self.port, self.superuser_password, [*argv], self.passwords | by_socket)

    def environment(self) -> dict[str, str]:
        database = f"127.0.0.1:{self.port}/paid_development"
        return os.environ | {
            "DATABASE_URL": f"postgresql://paid_app:{self.passwords['PAID_APP_PASSWORD']}@{database}",
            "DATABASE_OWNER_URL": f"postgresql://paid_owner:{self.passwords['PAID_OWNER_PASSWORD']}@{database}",
            BINARIES_VARIABLE: str(self._binaries),
        }

    def stop(self) -> None:
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)


def main() -> int:
    # `timeout` and the like: what this started must end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    directory = Path(tempfile.mkdtemp(prefix="paid-other-"))
    directory.chmod(0o711)  # as root PostgreSQL walks through it as nobody
    # Where the server's account can reach it: a cache below /root is closed to it.
    native = Path(shutil.copytree(Path(sys.argv[1]), directory / "native", symlinks=True))
    server = OtherPostgresql(native / "bin", directory)
    try:
        server.start()
        argv = [sys.executable, "-m", "pytest", "-q", *sys.argv[2:]]
        return subprocess.run(argv, env=server.environment(), check=False).returncode
    finally:
        server.stop()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    sys.exit(main())
