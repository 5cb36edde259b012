"""What was spent. Costs are read from the ledger or its daily sums; both agree to the last digit.

Every read stands in the caller's tenancy context: a tenant sees its own rows only.
"""

from collections import defaultdict
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, F, Max, Q, Sum

from metrics.models import (
    BudgetAlert,
    BudgetPeriod,
    BudgetReservation,
    CostBudget,
    GatewayCall,
    TokenUsage,
    UsageDaily,
)
from prompts.models import LanguageModel

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
    """A budget, what its period has spent so far, and what live runs hold; None for a limit per run."""

    budget: CostBudget
    spent_usd: Decimal | None
    held_usd: Decimal | None = None

    @property
    def share(self) -> Decimal | None:
        limit: Decimal = self.budget.limit_usd
        return self.spent_usd / limit if self.spent_usd is not None and limit else None

    @property
    def left_usd(self) -> Decimal | None:
        """What a run that starts now could get of it; never less than nothing."""
        if self.spent_usd is None or self.held_usd is None:
            return None
        return max(self.budget.limit_usd - self.spent_usd - self.held_usd, NOTHING)

    @property
    def spent_percent(self) -> int:
        """Of the bar's width."""
        return min(int((self.share or NOTHING) * 100), 100)

    @property
    def held_percent(self) -> int:
        """Of the bar's width, beside what is spent."""
        limit: Decimal = self.budget.limit_usd
        share = self.held_usd / limit if self.held_usd and limit else NOTHING
        return min(int(share * 100), 100 - self.spent_percent)


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
    held = _held_by_project(account_id)
    return [BudgetUse(budget, _spent_of(budget, spent), _held_of(budget, held)) for budget in ordered]


def _held_by_project(account_id: int) -> Mapping[int, Decimal]:
    """What open escrows may still spend, and the worst case of calls that outlived theirs; as `budget_left` counts."""
    held: defaultdict[int, Decimal] = defaultdict(Decimal)
    reservations = BudgetReservation.objects.filter(account_id=account_id)
    for project_id, usd in (
        reservations.filter(closed_at=None)
        .values_list("project_id")
        .annotate(usd=Sum(F("amount_usd") - F("drawn_usd")))
    ):
        held[project_id] += usd
    calls = dict(
        GatewayCall.objects.filter(account_id=account_id).values_list("agent_run_id").annotate(usd=Sum("hold_usd"))
    )
    late = reservations.filter(closed_at__isnull=False, agent_run_id__in=calls)
    for project_id, run_id in late.values_list("project_id", "agent_run_id"):
        held[project_id] += calls[run_id]
    return held


def _held_of(budget: CostBudget, held: Mapping[int, Decimal]) -> Decimal | None:
    if budget.period == BudgetPeriod.RUN:
        return None
    return sum((usd for project_id, usd in held.items() if budget.project_id in (None, project_id)), NOTHING)


@dataclass(frozen=True)
class UnpricedModel:
    """Calls of the last days to a model that had no price then: they cost something that nobody knows yet."""

    name: str
    calls: int
    last_day: date


def unpriced_models(account_id: int, *, days: int = 90) -> list[UnpricedModel]:
    rows = (
        UsageDaily.objects.filter(account_id=account_id, day__gte=_today() - timedelta(days=days))
        .values_list("language_model_id")
        .annotate(unpriced=Sum("unpriced_calls"), last=Max("day", filter=Q(unpriced_calls__gt=0), default=_today()))
        .filter(unpriced__gt=0)
        .order_by("-unpriced")
    )
    found = list(rows)
    models = LanguageModel.objects.in_bulk([model_id for model_id, _, _ in found])
    return [
        UnpricedModel(str(models.get(model_id, "a model that is not registered")), calls, last)
        for model_id, calls, last in found
    ]


def recent_alerts(account_id: int, *, limit: int = 20) -> list[BudgetAlert]:
    """The newest first; the index budget_alerts_newest serves it."""
    # Not joined: most of the time there is none, and to plan a join of four tables for it takes longer than to look.
    alerts = BudgetAlert.objects.filter(account_id=account_id).prefetch_related("account", "cost_budget__project")
    return list(alerts.order_by("-created_at", "-id")[:limit])


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


def _today() -> date:
    return datetime.now(UTC).date()
