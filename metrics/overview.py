"""What the overview page answers, read from daily sums."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from metrics.analytics.reading import ask
from metrics.querysets import NOTHING


@dataclass(frozen=True)
class Day:
    """Runs by the day (UTC) on which they were asked for, `other` of them stopped or live; cost by the ledger's day."""

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


def read_overview(account_id: int, *, days: int = 30, today: date | None = None) -> Overview:
    today = today or datetime.now(UTC).date()
    rows = ask("overview", "days", account=account_id, since=today - timedelta(days=days - 1), until=today)
    chart = [Day(day, completed, failed, other, cost) for day, completed, failed, other, cost, *_ in rows]
    *_, daily_limit, merged = rows[-1]
    completed = sum(day.completed for day in chart)
    return Overview(
        spent_today_usd=chart[-1].cost_usd,
        daily_limit_usd=daily_limit,
        spent_usd=sum((day.cost_usd for day in chart), NOTHING),
        ended=completed + sum(day.failed for day in chart),
        completed=completed,
        merged=merged,
        unpriced_calls=sum(row[5] for row in rows),
        days=chart,
    )
