"""A real streaming replica of the test session's PostgreSQL."""

import os
import secrets
import shutil
import subprocess
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

import psycopg
import pytest
from django.db import connections

from paid.stack import embedded
from tests.servers import READY_SECONDS

CATCH_UP_SECONDS = 240.0
_POLL_SECONDS = 0.05
_SETTINGS = {
    "fsync": "off",
    # A connection to the primary that fails is tried again at once, not after five seconds.
    "wal_retrieve_retry_interval": "200ms",
    # A page's query does not hold up what comes after it: default 30 s for each.
    "max_standby_streaming_delay": "2s",
}


@dataclass
class Standby:
    """`server` replays what the primary writes, until `pause`."""

    server: embedded.Server
    directory: Path
    superuser_password: str
    slot: str

    @classmethod
    def of_test_server(cls) -> "Standby":
        password = os.environ["PAID_TEST_POSTGRES_PASSWORD"]
        directory = Path(tempfile.mkdtemp(prefix="paid-standby-"))
        directory.chmod(0o711)  # PostgreSQL walks through it as nobody
        data, port = directory / "postgresql", embedded.free_port()
        slot = f"standby_{secrets.token_hex(4)}"
        subprocess.run(
            [
                str(embedded.postgresql_binaries() / "pg_basebackup"),
                *("-h", "127.0.0.1", "-p", os.environ["PAID_TEST_POSTGRES_PORT"], "-U", "postgres"),
                *("-D", str(data), "-R", "-X", "stream", "-c", "fast", "--no-sync", "--no-manifest"),
                # A neighbour's checkpoint may not take away what this replica has not read yet.
                *("--create-slot", "--slot", slot),
            ],
            env={"PATH": os.environ.get("PATH", ""), "PGPASSWORD": password},
            check=True,
            capture_output=True,
            timeout=600,
        )
        account = embedded.Account.for_postgresql()
        if account is not None:
            for path in (data, *data.rglob("*")):
                os.chown(path, account.uid, account.gid, follow_symlinks=False)
        server = embedded.start_postgresql(
            data,
            directory / "postgresql.log",
            port=port,
            superuser_password=secrets.token_urlsafe(),
            settings=_SETTINGS,
        )
        server.wait_until_ready(READY_SECONDS)
        return cls(server, directory, password, slot)

    def settings(self) -> dict[str, object]:
        """What `DATABASES` says of it: the application's role in the tests' database."""
        primary = connections["default"].settings_dict
        return primary | {
            "HOST": "127.0.0.1",
            "PORT": self.server.port,
            "OPTIONS": {"connect_timeout": 30, "pool": {"min_size": 1, "max_size": 4, "timeout": 30}},
        }

    def execute(self, statement: str) -> object:
        with self._connection(self.server.port) as superuser:
            cursor = superuser.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def pause(self) -> None:
        self.execute("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        self.execute("SELECT pg_wal_replay_resume()")

    def receiver(self) -> int:
        """The process that takes the primary's stream."""
        return int(str(self.execute("SELECT pid FROM pg_stat_wal_receiver")))

    def catch_up(self) -> None:
        """Wait until everything that the primary has written is seen here."""
        with self._connection(self.server.port) as replica, self._connection(_primary_port()) as primary:
            end = _written_out(primary)
            deadline = time.monotonic() + CATCH_UP_SECONDS
            while not _one(replica, f"SELECT pg_last_wal_replay_lsn() >= '{end}'"):
                if time.monotonic() > deadline:
                    pytest.fail(f"The replica does not reach {end}.\n{self._state(primary, replica)}")
                time.sleep(_POLL_SECONDS)

    def remove(self) -> None:
        self.server.stop()
        with self._connection(_primary_port()) as primary:
            # Its sender may be a moment behind: a slot that somebody holds cannot be dropped.
            primary.execute(
                "SELECT pg_terminate_backend(active_pid, 60000) FROM pg_replication_slots WHERE slot_name = %s",
                [self.slot],
            )
            primary.execute("SELECT pg_drop_replication_slot(%s)", [self.slot])
        shutil.rmtree(self.directory, ignore_errors=True)

    def _connection(self, port: int) -> psycopg.Connection[tuple[object, ...]]:
        return psycopg.connect(
            host="127.0.0.1",
            port=port,
            user="postgres",
            password=self.superuser_password,
            dbname=connections["default"].settings_dict["NAME"],
            autocommit=True,
        )

    def _state(
        self, primary: psycopg.Connection[tuple[object, ...]], replica: psycopg.Connection[tuple[object, ...]]
    ) -> str:
        """What a person would look at to see why it stands still."""
        told = [
            f"{name}: {connection.execute(query).fetchall()}"
            for name, connection, query in (
                ("primary's log", primary, "SELECT pg_current_wal_insert_lsn(), pg_current_wal_flush_lsn()"),
                ("senders", primary, "SELECT application_name, state, sent_lsn, replay_lsn FROM pg_stat_replication"),
                ("replayed", replica, "SELECT pg_last_wal_receive_lsn(), pg_last_wal_replay_lsn()"),
                ("receiver", replica, "SELECT status, flushed_lsn FROM pg_stat_wal_receiver"),
                ("processes", replica, "SELECT backend_type, state, wait_event FROM pg_stat_activity"),
            )
        ]
        log = (self.directory / "postgresql.log").read_text(errors="replace")[-2000:]
        return "\n".join([*told, log])


def _primary_port() -> int:
    return int(os.environ["PAID_TEST_POSTGRES_PORT"])


def _written_out(primary: psycopg.Connection[tuple[object, ...]]) -> object:
    """The end of the primary's log, flushed with all before it.

    Where the next record would go is no such place: nothing on a quiet server flushes up to there, and behind a change
    of segment it is a header that only the next record makes real.
    """
    primary.execute("SET synchronous_commit = local")
    primary.execute("SELECT pg_logical_emit_message(true, 'tests', 'so far')")
    return _one(primary, "SELECT pg_current_wal_flush_lsn()::text")


def _one(connection: psycopg.Connection[tuple[object, ...]], query: str) -> object:
    row = connection.execute(query.encode()).fetchone()
    assert row is not None
    return row[0]
