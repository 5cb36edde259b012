"""`make test-on PG=16`: the tests on a PostgreSQL that is not the wheel's, by DATABASE_URL."""

import os
import secrets
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from paid.stack import embedded
from tests.servers import IN_A_HURRY, INIT_SQL, TEST_ONLY_SQL


class OtherPostgresql:
    """A server from `native` (bin, lib, share) with Paid's roles and databases, in `directory`."""

    def __init__(self, native: Path, directory: Path) -> None:
        self._directory = directory
        self._account = embedded.Account.for_postgresql()
        # Where the server's account can reach it: a cache below /root is closed to it.
        self._binaries = Path(shutil.copytree(native, directory / "native", symlinks=True)) / "bin"
        self.port = embedded.free_port()
        self._superuser = secrets.token_urlsafe(16)
        self._passwords = {f"PAID_{name}_PASSWORD": secrets.token_urlsafe(16) for name in ("OWNER", "APP")}

    def start(self) -> None:
        data, password = self._directory / "data", self._directory / "password"
        data.mkdir(mode=0o700)
        password.write_text(self._superuser)
        if self._account is not None:
            os.chown(data, self._account.uid, self._account.gid)
        argv = [str(self._binaries / "initdb"), "-D", str(data), "-U", "postgres", "-E", "UTF8", "--locale=C.UTF-8"]
        argv += ["-A", "scram-sha-256", "--no-sync", f"--pwfile={password}"]
        subprocess.run(argv, check=True, stdout=subprocess.DEVNULL, cwd="/", **embedded.run_as(self._account))
        settings = IN_A_HURRY | {
            "listen_addresses": "127.0.0.1",
            "unix_socket_directories": "",
            "shared_preload_libraries": "pg_stat_statements",
            "max_connections": "200",
            "port": str(self.port),
        }
        argv = [str(self._binaries / "postgres"), "-D", str(data)]
        argv += [word for name, value in settings.items() for word in ("-c", f"{name}={value}")]
        with (self._directory / "log").open("wb") as log:
            self._process = subprocess.Popen(
                argv, stdout=log, stderr=log, cwd="/", start_new_session=True, **embedded.run_as(self._account)
            )
        while not embedded.answers(self.port):
            if self._process.poll() is not None:
                raise SystemExit(f"PostgreSQL ended:\n{(self._directory / 'log').read_text()[-2000:]}")
            time.sleep(0.1)
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
        self._process.send_signal(signal.SIGINT)
        self._process.wait(60)


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
