"""How runs ended, what they took, and which cohort did better."""

from dataclasses import dataclass
from datetime import date, datetime
from decimal import Decimal

from metrics.analytics.reading import ask
from metrics.models import Dimension, Measure

# What a model did longer ago says little about what it does now.
NEWEST_OF_HISTORY = 200
# Up to so many runs are sorted; more are read from histograms, which are at most 1 % off.
MOST_SORTED = 5_000


@dataclass(frozen=True)
class Cohort:
    """The ended runs of one prompt version, model or project. Shares and means are None where nothing is known."""

    id: int
    name: str
    runs: int
    completed: int
    failed: int
    stopped: int
    cost_usd: Decimal
    mean_seconds: float | None
    scored: int
    mean_score: Decimal | None
    merged: int
    unmerged: int

    @property
    def success_rate(self) -> float | None:
        """Completed of those that were not stopped by somebody."""
        judged = self.completed + self.failed
        return self.completed / judged if judged else None

    @property
    def cost_per_run_usd(self) -> Decimal:
        return self.cost_usd / self.runs

    @property
    def cost_per_merged_usd(self) -> Decimal | None:
        """What all runs of the cohort cost, for each one whose pull request is known to be merged."""
        return self.cost_usd / self.merged if self.merged else None


def cohorts(dimension: Dimension, account_id: int, *, since: date, until: date) -> list[Cohort]:
    """By the day (UTC) on which the run was asked for; its quality by the day on which that was first written."""
    rows = ask("runs", "cohorts", account=account_id, dimension=dimension.value, since=since, until=until)
    return [Cohort(id_, name or "Deleted", *rest) for id_, name, *rest in rows]


@dataclass(frozen=True)
class ProjectTotals:
    """What the runs of one project come to; live ones are in it with what they have spent so far."""

    runs: int = 0
    cost_usd: Decimal = Decimal(0)
    last_started_at: datetime | None = None


def totals_by_project(account_id: int) -> dict[int, ProjectTotals]:
    """By project id; a project without runs is not in it."""
    return {id_: ProjectTotals(*rest) for id_, *rest in ask("runs", "project_totals", account=account_id)}


@dataclass(frozen=True)
class ModelHistory:
    """How the runs of one project with one model went; those that somebody stopped are not in it. The mean is None
    where no run is known to have cost what its ledger says.
    """

    runs: int
    completed: int
    merged: int
    unmerged: int
    mean_cost_usd: Decimal | None


def history_by_model(account_id: int, project_id: int, *, newest: int = NEWEST_OF_HISTORY) -> dict[int, ModelHistory]:
    """By model id, of the project's newest ended runs; a model without any is not in it."""
    rows = ask("runs", "history_by_model", account=account_id, project=project_id, newest=newest)
    return {id_: ModelHistory(*rest) for id_, *rest in rows}


@dataclass(frozen=True)
class Percentiles:
    """In the measure's unit (seconds or USD). `is_exact` is false when they come from histograms: within 1 %."""

    median: float
    p90: float
    p99: float
    is_exact: bool


def percentiles(measure: Measure, account_id: int, *, since: date, until: date) -> Percentiles | None:
    """Of the ended runs that were asked for in these days (UTC); None when there are none."""
    span = {"account": account_id, "since": since, "until": until}
    [outcomes] = ask("runs", "outcomes", **span)
    is_exact = sum(outcomes) <= MOST_SORTED
    name = "percentiles_exact" if is_exact else "percentiles_of_buckets"
    [(found,)] = ask("runs", name, measure=measure.value, **span)
    if not found or found[0] is None:
        return None
    median, p90, p99 = found
    return Percentiles(median, p90, p99, is_exact=is_exact)
