"""Emptying the test database between transactional tests, as its owner.

Django's `flush` would run as the application's role, which may not truncate, and would also empty what the
migrations put in (the global account). So the rows that exist after `migrate` are kept and put back.
"""

from dataclasses import dataclass

import psycopg
from django.db import connections
from psycopg import sql

TABLES = """
SELECT c.relname,
       array(SELECT a.attname::text FROM pg_attribute a
             WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped AND a.attgenerated = ''
             ORDER BY a.attnum)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = 'public' AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND c.relname <> 'django_migrations' AND pg_get_userbyid(c.relowner) = current_user
ORDER BY c.relname
"""


# What is deleted lies about until a vacuum, which tests do without.
_ROWS_WORTH_TRUNCATING = 1_000


@dataclass(frozen=True)
class Table:
    name: str
    columns: tuple[str, ...]

    def copy(self, direction: str) -> sql.Composed:
        columns = sql.SQL(", ").join(map(sql.Identifier, self.columns))
        source = sql.SQL("(SELECT {} FROM {})") if direction == "TO STDOUT" else sql.SQL("{1} ({0})")
        return sql.SQL("COPY {} " + direction).format(source.format(columns, sql.Identifier(self.name)))


def owner_connection() -> psycopg.Connection[tuple[object, ...]]:
    settings = connections["owner"].settings_dict
    return psycopg.connect(
        host=settings["HOST"],
        port=settings["PORT"],
        user=settings["USER"],
        password=settings["PASSWORD"],
        dbname=settings["NAME"],
    )


class Baseline:
    """The rows that migrations left behind."""

    def __init__(self) -> None:
        self._rows: dict[Table, bytes] = {}
        with owner_connection() as connection:
            for table in self._tables(connection):
                with connection.cursor().copy(table.copy("TO STDOUT")) as copy:
                    self._rows[table] = b"".join(bytes(block) for block in copy)

    def restore(self) -> None:
        """A few rows are deleted: truncating makes new files for a thousand tables, partitions and indexes."""
        if not self._rows:
            return
        with owner_connection() as connection:
            # Passes append-only triggers and foreign keys by; granted to the owner by the test session only.
            connection.execute("SET LOCAL session_replication_role = replica")
            occupied = self._names(connection, sql.SQL("SELECT {name} WHERE EXISTS (SELECT FROM {table})"))
            many = sql.SQL("SELECT {name} WHERE EXISTS (SELECT FROM {table} OFFSET {rows})")
            if self._names(connection, many):
                names = sql.SQL(", ").join(sql.Identifier(table.name) for table in self._rows)
                connection.execute(sql.SQL("TRUNCATE {} CASCADE").format(names))
            else:
                for name in occupied:
                    connection.execute(sql.SQL("DELETE FROM {}").format(sql.Identifier(name)))
            for table, rows in self._rows.items():
                if rows:
                    with connection.cursor().copy(table.copy("FROM STDIN")) as copy:
                        copy.write(rows)

    def _names(self, connection: psycopg.Connection[tuple[object, ...]], question: sql.SQL) -> list[str]:
        """The tables for which the question has a row, asked in one round trip."""
        asked = (
            question.format(
                name=sql.Literal(table.name), table=sql.Identifier(table.name), rows=sql.Literal(_ROWS_WORTH_TRUNCATING)
            )
            for table in self._rows
        )
        return [str(name) for (name,) in connection.execute(sql.SQL(" UNION ALL ").join(asked))]

    @staticmethod
    def _tables(connection: psycopg.Connection[tuple[object, ...]]) -> list[Table]:
        found: list[tuple[str, list[str]]] = connection.execute(TABLES).fetchall()  # type: ignore[assignment]
        return [Table(name, tuple(columns)) for name, columns in found]
