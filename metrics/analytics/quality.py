"""What runs were worth over time. What is not known of a run takes no place in an average."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from metrics.analytics.reading import ask


@dataclass(frozen=True)
class RollingPoint:
    """A scored run of a variant. `mean` is over it and the scored ones before it, `runs` of them, at most 30."""

    variant_id: int
    agent_run_id: int
    at: datetime
    score: Decimal
    mean: Decimal
    runs: int


def rolling_by_variant(account_id: int, ab_test_id: int, *, points: int = 100) -> list[RollingPoint]:
    """The last points of each variant of an experiment, in order of time (the requirement's window of 30 runs)."""
    rows = ask("quality", "rolling_by_variant", account=account_id, ab_test=ab_test_id, points=points)
    return [RollingPoint(*row) for row in rows]


@dataclass(frozen=True)
class DayQuality:
    """`week_mean` is over the runs of this day and the six before it; None where no run was scored."""

    day: date
    scored: int
    mean: Decimal | None
    week_mean: Decimal | None


def quality_trend(account_id: int, *, since: date, until: date) -> list[DayQuality]:
    """One entry a day (UTC, of the first writing of a run's quality); the first days' week means begin with `since`."""
    return [DayQuality(*row) for row in ask("quality", "trend", account=account_id, since=since, until=until)]


@dataclass(frozen=True)
class WorstRun:
    agent_run_id: int
    score: Decimal


def worst_runs(*, since: date, until: date, limit: int = 10) -> list[WorstRun]:
    """The lowest scores of the tenancy context's account first. A run without a score is not bad, it is unknown."""
    rows = ask("quality", "worst_runs", since=since, until=until, limit=limit)
    return [WorstRun(*row) for row in rows]
