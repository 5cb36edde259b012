"""The servers of the test session: started once by the controller, before Django reads its settings.

An address that the environment already names (DATABASE_URL with DATABASE_OWNER_URL, REDIS_URL,
TEMPORAL_ADDRESS) is used as it is. Workers of pytest-xdist inherit the environment of the controller.
"""

import os
import secrets
import shutil
import tempfile
from pathlib import Path

from paid.stack import embedded

INIT_SQL = Path(__file__).resolve().parent.parent / "init-db.sql"
READY_SECONDS = 300
# Nothing of a test session is worth a disk flush.
IN_A_HURRY = {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off", "autovacuum": "off"}
# A test that fails may leave a transaction open in a thread: nobody after it waits for that one's locks for ever.
LEFT_BEHIND = {"lock_timeout": "300s", "idle_in_transaction_session_timeout": "300s"}
# Runs once per session: a way round the append-only triggers when
# the tables are emptied between transactional tests.
TEST_ONLY_SQL = """
GRANT SET ON PARAMETER session_replication_role TO paid_owner;
"""


class TestServers:
    """What this process started. In a worker of pytest-xdist it starts nothing but a Temporal of its own."""

    __test__ = False

    def __init__(self) -> None:
        self._running: list[embedded.Server] = []
        self._directory: Path | None = None

    def start(self) -> None:
        if "PYTEST_XDIST_WORKER" in os.environ:
            return
        os.environ["PAID_STATE_DIR"] = str(self.directory / "state")
        started = [*self._start_postgresql(), *self._start_valkey()]
        for server in started:
            server.wait_until_ready(READY_SECONDS)
        if "PAID_TEST_POSTGRES_PASSWORD" in os.environ and started:
            self._create_roles_and_databases()

    @property
    def directory(self) -> Path:
        if self._directory is None:
            self._directory = Path(tempfile.mkdtemp(prefix="paid-test-"))
            self._directory.chmod(0o711)  # PostgreSQL walks through it as nobody
        return self._directory

    def start_temporal(self) -> str:
        """The address of a Temporal server of this process; started by the first test that wants one."""
        if "TEMPORAL_ADDRESS" not in os.environ:
            port = embedded.free_port()
            log = self.directory / "temporal.log"
            server = embedded.start_temporal(self.directory / "temporal", log, port=port, durable=False)
            self._running.append(server)
            server.wait_until_ready(READY_SECONDS)
            os.environ["TEMPORAL_ADDRESS"] = f"127.0.0.1:{port}"
        return os.environ["TEMPORAL_ADDRESS"]

    def stop(self) -> None:
        while self._running:
            self._running.pop().stop()
        if self._directory is not None:
            shutil.rmtree(self._directory, ignore_errors=True)
            self._directory = None

    def _start_postgresql(self) -> list[embedded.Server]:
        if "DATABASE_URL" in os.environ and "DATABASE_OWNER_URL" in os.environ:
            return []
        port = embedded.free_port()
        password = secrets.token_urlsafe(16)
        server = embedded.start_postgresql(
            self.directory / "postgresql",
            self.directory / "postgresql.log",
            port=port,
            superuser_password=password,
            settings=IN_A_HURRY | LEFT_BEHIND,
        )
        self._running.append(server)
        owner, application = secrets.token_urlsafe(16), secrets.token_urlsafe(16)
        os.environ["DATABASE_URL"] = f"postgresql://paid_app:{application}@127.0.0.1:{port}/paid_development"
        os.environ["DATABASE_OWNER_URL"] = f"postgresql://paid_owner:{owner}@127.0.0.1:{port}/paid_development"
        os.environ["DATABASE_SOCKET_DIRECTORY"] = str(embedded.socket_directory(self.directory / "postgresql") or "")
        os.environ["PAID_TEST_POSTGRES_PORT"] = str(port)
        os.environ["PAID_TEST_POSTGRES_PASSWORD"] = password
        os.environ["PAID_OWNER_PASSWORD"], os.environ["PAID_APP_PASSWORD"] = owner, application
        return [server]

    def _create_roles_and_databases(self) -> None:
        port = int(os.environ["PAID_TEST_POSTGRES_PORT"])
        password = os.environ["PAID_TEST_POSTGRES_PASSWORD"]
        passwords = {name: os.environ[name] for name in ("PAID_OWNER_PASSWORD", "PAID_APP_PASSWORD")}
        embedded.run_psql(port, password, ["-f", str(INIT_SQL)], passwords)
        embedded.run_psql(port, password, ["-c", TEST_ONLY_SQL], {})
        embedded.run_psql(port, password, ["-d", "template1", "-c", "CREATE EXTENSION pg_stat_statements"], {})

    def _start_valkey(self) -> list[embedded.Server]:
        if "REDIS_URL" in os.environ:
            return []
        port = embedded.free_port()
        password = secrets.token_urlsafe(16)
        directory, log = self.directory / "valkey", self.directory / "valkey.log"
        server = embedded.start_valkey(directory, log, port=port, password=password, durable=False)
        self._running.append(server)
        os.environ["REDIS_URL"] = f"redis://:{password}@127.0.0.1:{port}/0"
        return [server]
