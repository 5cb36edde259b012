"""What is counted before a backup and after a restore: rows of each table, and the ledger's sum."""

from dataclasses import dataclass
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from paid.lib.sql import statement

# Rows that nobody may delete, but for retention a year later: a restored database never has fewer.
APPEND_ONLY = ("audit_events", "token_usages")

Connection = psycopg.Connection[Any]


@dataclass(frozen=True)
class Figures:
    """`ledger_usd` is exact: the sum of `numeric` costs, never a float."""

    tables: dict[str, int]
    ledger_usd: Decimal

    def as_dict(self) -> dict[str, Any]:
        return {"tables": self.tables, "ledger_usd": str(self.ledger_usd)}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Figures":
        return cls({str(name): int(rows) for name, rows in values["tables"].items()}, Decimal(values["ledger_usd"]))


def count(connection: Connection) -> Figures:
    """Count in one snapshot. The login must see every row: one with BYPASSRLS, or a superuser."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        names = [str(name) for (name,) in connection.execute(_query("tables")).fetchall()]
        counts = sql.SQL("SELECT count(*) FROM {}")
        tables = {name: _one(connection.execute(counts.format(sql.Identifier(name)))) for name in names}
        ledger = Decimal(_one(connection.execute(_query("ledger")))) if "token_usages" in tables else Decimal(0)
    return Figures(tables, ledger)


def drifted(connection: Connection) -> int | None:
    """How many daily sums differ from the ledger; None for a database from before they were compared."""
    try:
        with connection.transaction():
            return int(_one(connection.execute(_query("drift"))))
    except psycopg.errors.UndefinedFunction:
        return None


def missing_rows(before: Figures, after: Figures) -> list[str]:
    """In words: the append-only tables that have fewer rows than they once had."""
    return [
        f"{name} has {after.tables.get(name, 0)} rows, and had {before.tables[name]} when the backup was made"
        for name in APPEND_ONLY
        if after.tables.get(name, 0) < before.tables.get(name, 0)
    ]


def _query(name: str) -> sql.SQL:
    return sql.SQL(statement("paid.backups", "figures", name))


def _one(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None  # an aggregate always has its row  # noqa: S101
    return row[0]
