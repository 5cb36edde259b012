"""Erases an account: every row of every table of tenants, partitions included, and shows that none is left.

As the owner of the tables, from the command line only: no role that serves requests may delete most of these rows. What
was erased is written into the audit log of account 0, by table and number. People, and what was backed up, stay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from psycopg import sql

from accounts.models import Account, AuditEvent
from agent_runs.models import LIVE_STATUSES, AgentRun
from paid.lib.sql import statement
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID

# Short transactions for the log and the ledger: nobody waits, and what is gone stays gone.
BATCH = 10_000
OWNER = "owner"

Say = Callable[[str], None]


class ErasureError(Exception):
    """The account is not erased."""


@dataclass(frozen=True)
class Plan:
    account_id: int
    slug: str
    name: str
    rows: dict[str, int]

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def plan(slug: str) -> Plan:
    """What would go, by table. Raises ErasureError for an account that is not there or may not be erased."""
    account = Account.objects.using(OWNER).filter(slug=slug).first()
    if account is None:
        raise ErasureError(f"There is no account {slug}.")
    if account.pk == GLOBAL_ACCOUNT_ID:
        raise ErasureError("The global account holds what every tenant reads: it stays.")
    live = AgentRun.objects.using(OWNER).filter(account_id=account.pk, status__in=LIVE_STATUSES).count()
    if live:
        raise ErasureError(f"{live} runs of {slug} are live: stop them first, or they would go on writing.")
    return Plan(account.pk, account.slug, account.name, count_rows(account.pk))


def count_rows(account_id: int) -> dict[str, int]:
    """Rows of the account in every table of tenants."""
    counts = {}
    with connections[OWNER].cursor() as cursor:
        for table in _tables():
            query = sql.SQL("SELECT count(*) FROM {} WHERE account_id = %s").format(sql.Identifier(table))
            cursor.execute(query, [account_id])
            counts[table] = int(cursor.fetchone()[0])
    return counts


def erase(erased: Plan, *, actor: str, say: Say) -> None:
    """Delete it all. Can be run again after it broke off; raises ErasureError when a row is left."""
    for table, rows in erased.rows.items():
        for partition in _partitions(table) if rows else []:
            _empty(partition, erased.account_id)
        if rows:
            say(f"{table}: {rows} rows")
    with transaction.atomic(using=OWNER):
        # Whoever would add a row that refers to the account waits here, and then is refused.
        Account.objects.using(OWNER).select_for_update().get(pk=erased.account_id)
        with connections[OWNER].cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            for table in _tables():
                _delete(cursor, table, erased.account_id)
            cursor.execute("DELETE FROM accounts WHERE id = %s", [erased.account_id])
        _record(erased, actor)
    left = {table: rows for table, rows in count_rows(erased.account_id).items() if rows}
    if left:
        raise ErasureError(f"Rows were written meanwhile and are left: {left}. Run the command of the same id again.")


def users_without_account() -> int:
    return int(_ask("users_without_account")[0])


def _record(erased: Plan, actor: str) -> None:
    AuditEvent.objects.using(OWNER).create(
        account_id=GLOBAL_ACCOUNT_ID,
        actor=actor,
        action="account.erased",
        object_type="account",
        object_id=str(erased.account_id),
        data={"slug": erased.slug, "rows": {table: rows for table, rows in erased.rows.items() if rows}},
    )


def _empty(partition: str, account_id: int) -> None:
    deleted = BATCH
    while deleted == BATCH:
        with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
            deleted = _delete(cursor, partition, account_id, at_most=BATCH)


def _delete(cursor: Any, table: str, account_id: int, at_most: int | None = None) -> int:
    """Inside of a transaction, in which rows of this account alone may leave the tables that never change."""
    cursor.execute("SELECT set_config('paid.erased_account', %s, true)", [str(account_id)])
    chosen = "DELETE FROM {0} WHERE account_id = %s"
    if at_most is not None:
        chosen = "DELETE FROM {0} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {0} WHERE account_id = %s LIMIT %s))"
    query = sql.SQL(chosen).format(sql.Identifier(table))
    cursor.execute(query, [account_id] if at_most is None else [account_id, at_most])
    return int(cursor.rowcount)


def _tables() -> list[str]:
    return [str(name) for name in _ask("tenant_tables")]


def _partitions(table: str) -> list[str]:
    return [str(name) for name in _ask("partitions_of", table)]


def _ask(name: str, *values: str) -> list[Any]:
    with connections[OWNER].cursor() as cursor:
        cursor.execute(statement("paid.lib", "erasure_queries", name), values or None)
        return [row[0] for row in cursor.fetchall()]
