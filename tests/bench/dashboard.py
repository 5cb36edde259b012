"""The very reads that the pages make, as the tenant of the large account: overview, runs, projects, costs, quality."""

from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from agent_runs.querysets import RunFilter, failures_of, live_runs, newest, run_page
from metrics.analytics.quality import quality_trend, rolling_by_variant, worst_runs
from metrics.analytics.runs import cohorts, percentiles, totals_by_project
from metrics.analytics.spend import BREAKDOWNS, forecast, spend_by
from metrics.models import Dimension, Measure
from metrics.overview import read_overview
from metrics.querysets import budgets_of
from tests.bench.context import Bench
from tests.bench.figures import Figure, at_most, measure, time_calls

LARGE = 5_000_000
DAYS = 30
Reads = dict[str, Callable[[], object]]
# What a page would ask of the rows if nothing were summed beside them.
BY_DAY_FROM_ROWS = """
SELECT (created_at AT TIME ZONE 'UTC')::date, status, count(*) FROM agent_runs
WHERE account_id = %s AND created_at >= %s GROUP BY 1, 2
"""


def _overview(account: int) -> Reads:
    return {
        "overview: figures and chart": lambda: read_overview(account),
        "overview: runs now": lambda: newest(live_runs(account), 50),
        "overview: last failures": lambda: newest(failures_of(account, days=DAYS), 5),
        "projects: totals of all time": lambda: totals_by_project(account),
    }


def _runs(bench: Bench, account: int) -> Reads:
    def page(**narrowed: object) -> Callable[[], object]:
        return lambda: run_page(account, RunFilter(**narrowed), after=None, size=50)  # type: ignore[arg-type]

    first = run_page(account, RunFilter(), after=None, size=50)
    return {
        "runs: newest": page(),
        "runs: next page": lambda: run_page(account, RunFilter(), after=first.next_position, size=50),
        "runs: failed": page(status="failed"),
        "runs: stopped": page(status="stopped"),
        "runs: of a project": page(project_id=bench.world.project_id),
        "runs: of a model": page(language_model_id=bench.world.language_model_id),
        "runs: of a prompt version": page(prompt_version_id=bench.world.prompt_version_id),
    }


def _analytics(bench: Bench, account: int) -> Reads:
    today = datetime.now(UTC).date()
    since = today - timedelta(days=DAYS - 1)

    def spend(by: str) -> Callable[[], object]:
        return lambda: spend_by(by, account, since=since, until=today)

    def cohort(dimension: Dimension) -> Callable[[], object]:
        return lambda: cohorts(dimension, account, since=since, until=today)

    def percentile(of: Measure) -> Callable[[], object]:
        return lambda: percentiles(of, account, since=since, until=today)

    return {
        **{f"costs: by {by}": spend(by) for by in BREAKDOWNS},
        "costs: forecast": lambda: forecast(account, today=today),
        "costs: budgets": lambda: budgets_of(account),
        **{
            f"quality: by {by.label.lower()}": cohort(by) for by in (Dimension.PROMPT_VERSION, Dimension.LANGUAGE_MODEL)
        },
        **{f"quality: percentiles of {of.label.lower()}": percentile(of) for of in Measure},
        "quality: trend": lambda: quality_trend(account, since=since, until=today),
        "quality: worst runs": lambda: worst_runs(since=since, until=today),
        "experiment: rolling average of 30 runs": lambda: rolling_by_variant(account, bench.world.ab_test_id),
    }


@measure()
def reads_of_the_pages(bench: Bench) -> Iterator[Figure]:
    account, since = bench.world.account_id, datetime.now(UTC) - timedelta(days=DAYS)
    limit = 50 if bench.sizes.runs > LARGE else 20
    with bench.connect("tenant") as plain:
        base = time_calls(lambda: plain.execute(BY_DAY_FROM_ROWS, [account, since]).fetchall(), samples=10)
    with bench.as_tenant():
        for name, read in {**_overview(account), **_runs(bench, account), **_analytics(bench, account)}.items():
            timed = time_calls(read)
            yield Figure(
                f"{name}, p95", timed.p95_ms, "ms", at_most(limit), base.p95_ms,
                "30 days of runs counted from their rows", details=timed.details,
            )  # fmt: skip
