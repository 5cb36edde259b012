"""What is counted before a backup and after a restore: rows of each table, and the ledger's sum.

Rows that nobody may change are counted by month and account too: `losses` says which of them may be fewer, and why.
"""

from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any

import psycopg
from psycopg import sql

from paid.lib.sql import statement

# Rows that nobody may change or delete, but for an erasure, and for retention a year later.
APPEND_ONLY = ("audit_events", "token_usages")

Connection = psycopg.Connection[Any]
# Rows by the UTC month of their partition, such as `2026-11`, and in it by the account's id, as JSON has its keys.
Months = dict[str, dict[str, int]]


@dataclass(frozen=True)
class Figures:
    """`ledger_usd` is exact: the sum of `numeric` costs, never a float.

    `append_only` names the tables whose rows nobody may change; empty in backups from before it was counted.
    """

    tables: dict[str, int]
    ledger_usd: Decimal
    append_only: dict[str, Months] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {"tables": self.tables, "ledger_usd": str(self.ledger_usd), "append_only": self.append_only}

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> "Figures":
        tables = {str(name): int(rows) for name, rows in values["tables"].items()}
        return cls(tables, Decimal(values["ledger_usd"]), values.get("append_only", {}))


def count(connection: Connection) -> Figures:
    """Count in one snapshot. The login must see every row: one with BYPASSRLS, or a superuser."""
    with connection.transaction():
        connection.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ READ ONLY")
        names = [str(name) for (name,) in connection.execute(_query("tables")).fetchall()]
        counts = sql.SQL("SELECT count(*) FROM {}")
        tables = {name: _one(connection.execute(counts.format(sql.Identifier(name)))) for name in names}
        ledger = Decimal(_one(connection.execute(_query("ledger")))) if "token_usages" in tables else Decimal(0)
        append_only = {name: _months(connection, name) for name in APPEND_ONLY if name in tables}
    return Figures(tables, ledger, append_only)


def drifted(connection: Connection) -> int | None:
    """How many daily sums differ from the ledger; None for a database from before they were compared."""
    try:
        with connection.transaction():
            return int(_one(connection.execute(_query("drift"))))
    except psycopg.errors.UndefinedFunction:
        return None


def _months(connection: Connection, table: str) -> Months:
    (key,) = connection.execute(_query("partition_key"), [table]).fetchone() or (None,)
    assert key is not None  # both are partitioned since the first migration  # noqa: S101
    query = sql.SQL(
        "SELECT to_char({key} AT TIME ZONE 'UTC', 'YYYY-MM'), account_id::text, count(*) FROM {table} GROUP BY 1, 2"
    )
    months: Months = {}
    for month, account_id, rows in connection.execute(
        query.format(key=sql.Identifier(key), table=sql.Identifier(table))
    ):
        months.setdefault(month, {})[account_id] = rows
    return months


def _query(name: str) -> sql.SQL:
    return sql.SQL(statement("paid.backups", "figures", name))


def _one(cursor: psycopg.Cursor[Any]) -> Any:
    row = cursor.fetchone()
    assert row is not None  # an aggregate always has its row  # noqa: S101
    return row[0]
