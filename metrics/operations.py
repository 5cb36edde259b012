"""Every write of metrics. Money moves in SQL functions (metrics/sql), which lock what they count."""

import logging
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from django.conf import settings
from django.db import DatabaseError, connection, transaction
from django.utils import timezone

from accounts.models import Account, User
from accounts.operations import record_audit_event
from agent_runs.models import AgentRun
from metrics.errors import BudgetExhausted, OwnLimitReached
from metrics.models import CostBudget
from paid.lib.tenancy import platform
from projects.models import Project

logger = logging.getLogger(__name__)

# No run lives longer; the sweep closes what a crash left open.
ESCROW_LIFETIME = timedelta(days=2)
NOTHING = Decimal(0)
USUAL_THRESHOLD = Decimal("0.8")


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
        cursor.execute("SELECT amount_usd, period, limit_usd FROM escrow_extend(%s, %s)", [run.pk, wanted_usd])
        added, period, limit = cursor.fetchone() or (NOTHING, None, None)
    if added <= 0:
        raise BudgetExhausted(period=period or "run", limit_usd=wanted_usd if limit is None else limit)
    return Decimal(added)


def reopen_escrow(*, run: AgentRun, limit_usd: Decimal, more_usd: Decimal = NOTHING) -> Decimal:
    """Money again for a run that paused: what is left of its own limit, and `more_usd` beyond; gives the amount.

    Raises OwnLimitReached, and BudgetExhausted when a hard budget has nothing left for it; nothing is taken then.
    """
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT amount_usd, period, limit_usd FROM escrow_reopen(%s, %s, %s, %s)",
            [run.pk, limit_usd, more_usd, timezone.now() + ESCROW_LIFETIME],
        )
        amount, period, limit = cursor.fetchone()
    if amount > 0:
        return Decimal(amount)
    if period is None:
        raise OwnLimitReached(limit_usd=limit)
    raise BudgetExhausted(period=period, limit_usd=limit)


def close_escrow(*, run: AgentRun) -> Decimal:
    """End the run's escrow; gives what goes back to its budgets. A second call gives 0.

    What the run spent is in its row then: close before it ends, and `run` read anew says all of it.
    """
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT escrow_close(%s)", [run.pk])
        return Decimal(cursor.fetchone()[0])


def post_spend(*, run: AgentRun) -> None:
    """Bring what the run's calls came to into its row now; the gateway does so within half a second."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT spend_post(%s)", [run.pk])


def sweep_escrows() -> int:
    """Close the escrows of runs that ended without closing them; gives how many."""
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT escrow_sweep()")
        return int(cursor.fetchone()[0])


def post_unposted() -> int:
    """Post what no gateway has posted, each run in a transaction of its own; gives how many runs had something.

    What cannot be posted now, of a run whose escrow is long in other hands, is left to the next time.
    """
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT spend_unposted()")
        runs: list[int] = cursor.fetchone()[0] or []
    for run_id in runs:
        try:
            with platform(), connection.cursor() as cursor:
                cursor.execute("SELECT spend_post_behind(%s)", [run_id])
        except DatabaseError:
            logger.warning("run %s: what it has spent was not posted", run_id, exc_info=True)
    return len(runs)


def correct_usage(
    *, run_created_at: datetime, request_id: UUID, corrected_cost_usd: Decimal, correction_id: UUID
) -> bool:
    """Book the difference between what a call's ledger row says and what it really cost, as a row of its own.

    The same `correction_id` twice is one correction, False the second time; with another content it is an error.
    `run_created_at` and `request_id` are the call's key in the ledger.
    """
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_correct(%s, %s, %s, %s)", [run_created_at, request_id, corrected_cost_usd, correction_id]
        )
        return bool(cursor.fetchone()[0])


@transaction.atomic
def set_budget(
    *,
    account: Account,
    project: Project | None,
    period: str,
    limit_usd: Decimal,
    is_hard: bool,
    actor: User,
    alert_threshold: Decimal = USUAL_THRESHOLD,
) -> CostBudget:
    """Set the limit of a period for the account (no project) or one project; the one that stood there is replaced.

    Runs that live keep the money they took; what starts after this asks the new limit.
    """
    defaults = {"limit_usd": limit_usd, "is_hard": is_hard, "alert_threshold": alert_threshold}
    budget, is_new = CostBudget.objects.update_or_create(
        account=account, project=project, period=period, defaults=defaults
    )
    _audit_budget(budget, "created" if is_new else "changed", actor)
    return budget


@transaction.atomic
def remove_budget(*, budget: CostBudget, actor: User) -> None:
    """Take the limit away. A second call changes nothing and records nothing."""
    deleted, _ = CostBudget.objects.filter(account_id=budget.account_id, pk=budget.pk).delete()
    if deleted:
        _audit_budget(budget, "removed", actor)


def _audit_budget(budget: CostBudget, verb: str, actor: User) -> None:
    record_audit_event(
        account_id=budget.account_id,
        actor=actor,
        action=f"cost_budget.{verb}",
        object_type="cost_budget",
        object_id=budget.pk,
        data={
            "project_id": budget.project_id,
            "period": budget.period,
            "limit_usd": str(budget.limit_usd),
            "is_hard": budget.is_hard,
            "alert_threshold": f"{budget.alert_threshold:.3f}",
        },
    )
