"""Rows that a restored copy has fewer of than its backup had: those that had to go, and those that are lost.

Two things take rows that nobody may delete: retention drops a whole month of the ledger, and an account is erased. Both
leave their trace in the copy itself. What is fewer without such a trace is a loss.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from psycopg import sql

from paid.backups.figures import APPEND_ONLY, Connection, Figures
from paid.lib.sql import statement


@dataclass(frozen=True)
class Traces:
    """`dropped_before` is the month, by table, before which retention drops; `partitioned` is what is still there."""

    erased_accounts: frozenset[str]
    dropped_before: dict[str, str]
    partitioned: frozenset[tuple[str, str]]

    def cause(self, table: str, month: str, account_id: str) -> str | None:
        if account_id in self.erased_accounts:
            return f"of account {account_id}, which was erased"
        if month < self.dropped_before.get(table, "") and (table, month) not in self.partitioned:
            return f"of {month}, which retention dropped"
        return None


@dataclass(frozen=True)
class Losses:
    """In words: `explained` rows went as they should; `unexplained` ones must not be missing."""

    explained: list[str]
    unexplained: list[str]


def traces(copy: Connection) -> Traces:
    def ask(name: str) -> list[tuple[Any, ...]]:
        return copy.execute(sql.SQL(statement("paid.backups", "figures", name))).fetchall()

    return Traces(
        frozenset(account_id for (account_id,) in ask("erased_accounts")),
        dict(ask("retention")),
        frozenset((table, month) for table, month in ask("partitioned_months")),
    )


def between(before: Figures, after: Figures, left: Traces) -> Losses:
    """Compare the backup's figures with the copy's."""
    if not before.append_only:
        return Losses([], list(_fewer_in_all(before, after)))
    explained: dict[tuple[str, str], int] = {}
    unexplained = []
    for table, month, account_id, rows in _counted(before):
        found = after.append_only.get(table, {}).get(month, {}).get(account_id, 0)
        if found >= rows:
            continue
        if cause := left.cause(table, month, account_id):
            explained[table, cause] = explained.get((table, cause), 0) + rows - found
        else:
            unexplained.append(
                f"{table} has {found} rows of account {account_id} in {month}, and had {rows} when the backup was made"
            )
    told = [f"{table}: {rows} rows {cause}" for (table, cause), rows in explained.items()]
    return Losses(told, unexplained)


def _counted(figures: Figures) -> Iterator[tuple[str, str, str, int]]:
    for table, months in sorted(figures.append_only.items()):
        for month, accounts in sorted(months.items()):
            for account_id, rows in sorted(accounts.items(), key=lambda item: int(item[0])):
                yield table, month, account_id, rows


def _fewer_in_all(before: Figures, after: Figures) -> Iterator[str]:
    """Of a backup from before rows were counted by month and account: it cannot be said which ones went."""
    for name in APPEND_ONLY:
        found, rows = after.tables.get(name, 0), before.tables.get(name, 0)
        if found < rows:
            yield (
                f"{name} has {found} rows, and had {rows} when the backup was made (after an erasure or a retention"
                " since then, use --prepare: this backup is too old to tell them from a loss)"
            )
