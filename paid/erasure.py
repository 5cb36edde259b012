"""Erases an account: every row of every table of tenants, partitions included, and shows that none is left.

As the owner of the tables, from the command line only: no role that serves requests may delete most of these rows. What
was erased is written into the audit log of account 0, by table and number. People, and what was backed up, stay.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from django.db import connections, transaction
from django.db.models import QuerySet
from psycopg import sql

from accounts.models import Account, AuditEvent
from agent_runs.models import LIVE_STATUSES, AgentRun
from paid.lib.sql import statement
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID

# Short transactions for the log and the ledger: nobody waits, and what is gone stays gone.
BATCH = 10_000
OWNER = "owner"
# In the audit log of account 0: what there was when the account went, and what has gone when nothing was left.
BEGAN, ERASED = "account.erasure_began", "account.erased"

Say = Callable[[str], None]


class ErasureError(Exception):
    """The account is not erased."""


@dataclass(frozen=True)
class Plan:
    account_id: int
    slug: str
    name: str
    rows: dict[str, int]
    # By an erasure that broke off, or that late writers outran.
    is_account_gone: bool = False

    @property
    def total(self) -> int:
        return sum(self.rows.values())


def plan(slug: str, account_id: int | None = None) -> Plan:
    """What would go, by table, also what an erasure left. Raises ErasureError for what is not there or may not go.

    The id tells an account from an erased one that had its slug before.
    """
    account = Account.objects.using(OWNER).filter(slug=slug).first()
    if account is None or account_id not in (None, account.pk):
        return _plan_of_rest(slug, account_id)
    if account.pk == GLOBAL_ACCOUNT_ID:
        raise ErasureError("The global account holds what every tenant reads: it stays.")
    _refuse_live_runs(account.pk, slug)
    return Plan(account.pk, account.slug, account.name, count_rows(account.pk))


def _plan_of_rest(slug: str, account_id: int | None) -> Plan:
    events = _events().filter(action__in=(BEGAN, ERASED), data__slug=slug)
    if account_id is not None:
        events = events.filter(object_id=str(account_id))
    began = events.order_by("-created_at").first()
    if began is None:
        raise ErasureError(
            f"There is no account {slug}."
            if account_id is None
            else f"No account {slug} has or had the id {account_id}."
        )
    gone = int(began.object_id)
    return Plan(gone, slug, slug, count_rows(gone), is_account_gone=True)


def _refuse_live_runs(account_id: int, slug: str) -> None:
    live = AgentRun.objects.using(OWNER).filter(account_id=account_id, status__in=LIVE_STATUSES).count()
    if live:
        raise ErasureError(f"{live} runs of {slug} are live: stop them first, or they would go on writing.")


def count_rows(account_id: int) -> dict[str, int]:
    """Rows of the account in every table of tenants."""
    counts = {}
    with connections[OWNER].cursor() as cursor:
        for table in _tables():
            query = sql.SQL("SELECT count(*) FROM {} WHERE account_id = %s").format(sql.Identifier(table))
            cursor.execute(query, [account_id])
            counts[table] = int(cursor.fetchone()[0])
    return counts


def erase(erased: Plan, *, actor: str, say: Say) -> dict[str, int]:
    """Delete it all, and give the rows that went, by table. Raises ErasureError when a row is left.

    The account goes first, and with it whatever could start or write anything; then the log and the ledger, which may
    take long. An erasure that breaks off is ended by another one.
    """
    deleted = {} if erased.is_account_gone else _close(erased, actor)
    for table in _tables():
        rows = deleted.get(table, 0) + sum(_empty(leaf, erased.account_id) for leaf in _partitions(table) or [table])
        if rows:
            deleted[table] = rows
            say(f"{table}: {rows} rows")
    left = {table: rows for table, rows in count_rows(erased.account_id).items() if rows}
    if left:
        raise ErasureError(f"Rows were written meanwhile and are left: {left}. Run the command again.")
    if deleted or not _events().filter(action=ERASED, object_id=str(erased.account_id)).exists():
        _record(ERASED, erased, actor, deleted)
    return deleted


def _close(erased: Plan, actor: str) -> dict[str, int]:
    """Delete the account with all tables that are not partitioned, in one transaction."""
    with transaction.atomic(using=OWNER):
        # Whoever would add a row that refers to the account, such as a run, waits here, and then is refused.
        if not Account.objects.using(OWNER).select_for_update().filter(pk=erased.account_id):
            raise ErasureError(
                f"{erased.slug} was erased meanwhile. Run the command again to see that nothing is left."
            )
        _refuse_live_runs(erased.account_id, erased.slug)
        plain = [table for table in _tables() if not _partitions(table)]
        # Counted first: a row that goes with the one that it belongs to is in nobody's count of deleted rows.
        there = count_rows(erased.account_id)
        with connections[OWNER].cursor() as cursor:
            cursor.execute("SET CONSTRAINTS ALL DEFERRED")
            for table in plain:
                _delete(cursor, table, erased.account_id)
            cursor.execute("DELETE FROM accounts WHERE id = %s", [erased.account_id])
        _record(BEGAN, erased, actor, {table: rows for table, rows in there.items() if rows})
    return {table: there[table] for table in plain if there[table]}


def users_without_account() -> int:
    return int(_ask("users_without_account")[0])


def _events() -> QuerySet[AuditEvent]:
    return AuditEvent.objects.using(OWNER).filter(account_id=GLOBAL_ACCOUNT_ID, object_type="account")


def _record(action: str, erased: Plan, actor: str, rows: dict[str, int]) -> None:
    AuditEvent.objects.using(OWNER).create(
        account_id=GLOBAL_ACCOUNT_ID,
        actor=actor,
        action=action,
        object_type="account",
        object_id=str(erased.account_id),
        data={"slug": erased.slug, "rows": rows},
    )


def _empty(table: str, account_id: int) -> int:
    total, deleted = 0, BATCH
    while deleted == BATCH:
        with transaction.atomic(using=OWNER), connections[OWNER].cursor() as cursor:
            deleted = _delete(cursor, table, account_id, at_most=BATCH)
        total += deleted
    return total


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
