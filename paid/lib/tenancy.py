"""Who the database thinks is asking: a tenant, or the platform itself.

A connection logs in as `paid_app` and is `paid_tenant` from its first statement (a role without any
bypass), so that forgetting a context shows nothing instead of everything. Both contexts open a
transaction, use `SET LOCAL`, and restore the former role themselves where the transaction goes on, because a released
savepoint keeps what was set inside it.

This holds against forgotten filters and wrong ids. It does not hold against SQL that an attacker writes:
`paid_app` may take both roles, so `SET ROLE` is open to whoever can send statements of their own.
"""

from collections.abc import Iterator
from contextlib import contextmanager

from django.db import connection, connections, transaction
from django.http import HttpResponseBase

TENANT_ROLE = "paid_tenant"
PLATFORM_ROLE = "paid_platform"
GLOBAL_ACCOUNT_ID = 0


@contextmanager
def tenant(account_id: int, user_id: int | None = None) -> Iterator[None]:
    """Run the block as `paid_tenant` that sees the rows of `account_id` (and, read-only, the global ones)."""
    with _identity(TENANT_ROLE, str(account_id), "" if user_id is None else str(user_id)):
        yield


@contextmanager
def signed_in(user_id: int) -> Iterator[None]:
    """Run the block as `paid_tenant` without an account: only the user's own memberships and their accounts show."""
    with _identity(TENANT_ROLE, "", str(user_id)):
        yield


@contextmanager
def platform() -> Iterator[None]:
    """Run the block as `paid_platform`, which sees every tenant: dispatch, writers, retention, the admin."""
    with _identity(PLATFORM_ROLE, "", ""):
        yield


@contextmanager
def platform_already() -> Iterator[None]:
    """As `platform()`; a block of it that is running simply goes on, without the five round trips of a nested one.

    For reads: what fails in here takes the whole transaction with it, because there is no savepoint.
    """
    if getattr(connection, "acting_role", "") == PLATFORM_ROLE:
        yield
    else:
        with platform():
            yield


@contextmanager
def _identity(role: str, account_id: str, user_id: str) -> Iterator[None]:
    is_nested = connection.in_atomic_block
    with transaction.atomic():
        former = None
        if is_nested:
            former = _exchange(role, account_id, user_id)
        else:
            _set(role, account_id, user_id)
        outer_role = getattr(connection, "acting_role", "")
        connection.acting_role = role  # type: ignore[attr-defined]  # ours: Django's wrapper stands for the session
        # An exception needs no restoring: the rollback to the start of this block, whether of a savepoint or of the
        # transaction, also takes back what was set inside it.
        try:
            yield
        finally:
            connection.acting_role = outer_role  # type: ignore[attr-defined]
        # Nor does a block that is marked for rollback, which refuses every statement, or one whose transaction ends
        # with it and takes back what was set: that is a round trip less for each.
        if former is not None and not connection.needs_rollback:
            _set(*former)


def _set(role: str, account_id: str, user_id: str) -> None:
    """Set the three settings for this transaction. Planned anew for each block: the plainest statement there is."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT set_config('paid.account_id', %s, true), set_config('paid.user_id', %s, true), "
            "set_config('role', %s, true)",
            [account_id, user_id, role],
        )


def _exchange(role: str, account_id: str, user_id: str) -> tuple[str, str, str]:
    """Set the three settings for this transaction and return what they were, in one round trip."""
    with connection.cursor() as cursor:
        # The former values are computed before set_config() runs: a CTE that is materialised fixes the order.
        cursor.execute(
            """
            WITH former AS MATERIALIZED (
                SELECT current_user::text AS role,
                       coalesce(current_setting('paid.account_id', true), '') AS account_id,
                       coalesce(current_setting('paid.user_id', true), '') AS user_id
            )
            SELECT role, account_id, user_id,
                   set_config('paid.account_id', %s, true),
                   set_config('paid.user_id', %s, true),
                   set_config('role', %s, true)
            FROM former
            """,
            [account_id, user_id, role],
        )
        row = cursor.fetchone()
    assert row is not None  # a SELECT without a table always has its row  # noqa: S101
    return str(row[0]), str(row[1]), str(row[2])


def give_back_connections(response: HttpResponseBase) -> None:
    """Call once the view's transaction is over, in the view's thread.

    Django gives its connections back when the answer has been sent. One that is sent in pieces, for as long as its
    reader takes, would keep them all that time: its pieces are read by short transactions of their own.
    """
    if response.streaming:
        for one in connections.all(initialized_only=True):
            if not one.in_atomic_block:
                one.close()
