"""Every write of metrics. Money moves in SQL functions (metrics/sql), which lock what they count."""

from datetime import timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import connection
from django.utils import timezone

from agent_runs.models import AgentRun
from metrics.errors import BudgetExhausted
from paid.lib.tenancy import platform

# No run lives longer; the sweep closes what a crash left open.
ESCROW_LIFETIME = timedelta(days=2)


def open_escrow(*, run: AgentRun, wanted_usd: Decimal | None = None) -> None:
    """Take the run's money from its budgets: what is wanted (RUN_COST_LIMIT_USD), or what they have left.

    Call it in the transaction that inserts the run: it rolls back with it. A second call changes nothing.
    Raises BudgetExhausted when a hard budget has nothing left; nothing is taken then.
    """
    wanted = settings.RUN_COST_LIMIT_USD if wanted_usd is None else wanted_usd
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT amount_usd, period, limit_usd FROM escrow_open(%s, %s, %s)",
            [run.pk, wanted, timezone.now() + ESCROW_LIFETIME],
        )
        amount, period, limit = cursor.fetchone()
    if amount <= 0:
        raise BudgetExhausted(period=period or "run", limit_usd=wanted if limit is None else limit)


def extend_escrow(*, run: AgentRun, wanted_usd: Decimal) -> Decimal:
    """Grant a live run more money; gives what its budgets allowed. Raises BudgetExhausted when that is nothing."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT escrow_extend(%s, %s)", [run.pk, wanted_usd])
        added = Decimal(cursor.fetchone()[0])
    if added <= 0:
        raise BudgetExhausted(period="run", limit_usd=wanted_usd)
    return added


def close_escrow(*, run: AgentRun) -> Decimal:
    """End the run's escrow; gives what goes back to its budgets. A second call gives 0."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT escrow_close(%s)", [run.pk])
        return Decimal(cursor.fetchone()[0])


def sweep_escrows() -> int:
    """Close the escrows of runs that ended without closing them; gives how many."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT escrow_sweep()")
        return int(cursor.fetchone()[0])


def correct_usage(*, request_id: UUID, corrected_cost_usd: Decimal, correction_id: UUID) -> None:
    """Book the difference between what a call's ledger row says and what it really cost, as a row of its own.

    The same `correction_id` twice is one correction; with another content it is an error.
    """
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT ledger_correct(%s, %s, %s)", [request_id, corrected_cost_usd, correction_id])
