"""What the overview page answers, read from daily sums."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal

from metrics.analytics.runs import DayOutcomes, outcomes_by_day
from metrics.models import BudgetPeriod, CostBudget
from metrics.querysets import NOTHING, spend_by_day
from projects.models import PullRequest, PullRequestState


@dataclass(frozen=True)
class Day:
    day: date
    completed: int
    failed: int
    other: int
    cost_usd: Decimal


@dataclass(frozen=True)
class Overview:
    """Figures of the last `days` days (UTC), today included; shares are None while nothing has ended."""

    spent_today_usd: Decimal
    daily_limit_usd: Decimal | None
    spent_usd: Decimal
    ended: int
    completed: int
    merged: int
    unpriced_calls: int
    days: list[Day]

    @property
    def success_rate(self) -> float | None:
        return self.completed / self.ended if self.ended else None

    @property
    def cost_per_merged_usd(self) -> Decimal | None:
        return self.spent_usd / self.merged if self.merged else None

    @property
    def budget_share(self) -> Decimal | None:
        return self.spent_today_usd / self.daily_limit_usd if self.daily_limit_usd else None


def read_overview(account_id: int, *, days: int = 30) -> Overview:
    first = datetime.now(UTC).date() - timedelta(days=days - 1)
    spent = spend_by_day(account_id, days)
    runs = outcomes_by_day(account_id, since=first, until=spent[-1].day)
    none = DayOutcomes(first, 0, 0, 0)
    chart = [
        Day(entry.day, found.completed, found.failed, found.other, entry.cost_usd)
        for entry in spent
        for found in (runs.get(entry.day, none),)
    ]
    completed = sum(day.completed for day in chart)
    budgets = CostBudget.objects.filter(account_id=account_id, project=None, period=BudgetPeriod.DAY)
    daily_limit: Decimal | None = budgets.values_list("limit_usd", flat=True).first()
    return Overview(
        spent_today_usd=spent[-1].cost_usd,
        daily_limit_usd=daily_limit,
        spent_usd=sum((entry.cost_usd for entry in spent), NOTHING),
        ended=completed + sum(day.failed for day in chart),
        completed=completed,
        merged=PullRequest.objects.filter(
            account_id=account_id, state=PullRequestState.MERGED, merged_at__gte=_midnight(first)
        ).count(),
        unpriced_calls=sum(entry.unpriced_calls for entry in spent),
        days=chart,
    )


def _midnight(day: date) -> datetime:
    return datetime.combine(day, time.min, UTC)
