"""What was spent. Costs are read from the ledger or its daily sums; both agree to the last digit.

Every read stands in the caller's tenancy context: a tenant sees its own rows only.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, F, Q, Sum

from metrics.models import BudgetPeriod, CostBudget, TokenUsage, UsageDaily

NOTHING = Decimal(0)


@dataclass(frozen=True)
class RunCost:
    """The sum of a run's ledger rows. `unpriced_calls` cost something that nobody knows yet."""

    cost_usd: Decimal
    calls: int
    unpriced_calls: int
    estimated_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int


@dataclass(frozen=True)
class DaySpend:
    day: date
    cost_usd: Decimal
    calls: int
    unpriced_calls: int


def cost_of_run(run_id: int) -> RunCost:
    sums = TokenUsage.objects.filter(agent_run_id=run_id).aggregate(
        cost_usd=Sum("cost_usd", default=NOTHING),
        calls=Count("request_id", filter=Q(kind="call")),
        unpriced_calls=Count("request_id", filter=Q(kind="call", is_priced=False))
        - Count("request_id", filter=Q(kind="pricing")),
        estimated_calls=Count("request_id", filter=Q(kind="call", is_estimated=True)),
        input_tokens=Sum("input_tokens", default=0),
        output_tokens=Sum("output_tokens", default=0),
        cache_read_tokens=Sum("cache_read_tokens", default=0),
        cache_write_tokens=Sum("cache_write_tokens", default=0),
    )
    return RunCost(**sums)


@dataclass(frozen=True)
class BudgetUse:
    """A budget and what its period has spent so far; `spent_usd` is None for a limit per run."""

    budget: CostBudget
    spent_usd: Decimal | None

    @property
    def share(self) -> Decimal | None:
        limit: Decimal = self.budget.limit_usd
        return self.spent_usd / limit if self.spent_usd is not None and limit else None


def budgets_of(account_id: int) -> list[BudgetUse]:
    """The account's own budgets first, then those of its projects by name; days and months are UTC."""
    today = _today()
    rows = (
        UsageDaily.objects.filter(account_id=account_id, day__gte=today.replace(day=1))
        .values("project_id")
        .annotate(
            month_usd=Sum("cost_usd", default=NOTHING),
            day_usd=Sum("cost_usd", filter=Q(day=today), default=NOTHING),
        )
    )
    spent: dict[tuple[int, str], Decimal] = {}
    for row in rows:
        spent[row["project_id"], BudgetPeriod.DAY] = row["day_usd"]
        spent[row["project_id"], BudgetPeriod.MONTH] = row["month_usd"]
    budgets = CostBudget.objects.filter(account_id=account_id).select_related("project")
    ordered = budgets.order_by(F("project__name").asc(nulls_first=True), "project_id", "period")
    return [BudgetUse(budget, _spent_of(budget, spent)) for budget in ordered]


def _spent_of(budget: CostBudget, spent: Mapping[tuple[int, str], Decimal]) -> Decimal | None:
    if budget.period == BudgetPeriod.RUN:
        return None
    return sum(
        (
            usd
            for (project_id, period), usd in spent.items()
            if period == budget.period and budget.project_id in (None, project_id)
        ),
        NOTHING,
    )


def spend_by_day(account_id: int, days: int) -> list[DaySpend]:
    """One entry for each of the last `days` UTC days, today last; days without a call are zero."""
    first = _today() - timedelta(days=days - 1)
    rows = (
        UsageDaily.objects.filter(account_id=account_id, day__gte=first)
        .values("day")
        .annotate(total_usd=Sum("cost_usd"), total_calls=Sum("calls"), total_unpriced=Sum("unpriced_calls"))
    )
    found = {
        row["day"]: DaySpend(row["day"], row["total_usd"], row["total_calls"], row["total_unpriced"]) for row in rows
    }
    wanted = (first + timedelta(days=offset) for offset in range(days))
    return [found.get(day) or DaySpend(day, NOTHING, 0, 0) for day in wanted]


def _today() -> date:
    return datetime.now(UTC).date()
