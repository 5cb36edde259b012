"""The very reads that the pages make, as the tenant of the large account, page by page."""

import math
from collections import Counter
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta

from django.http import QueryDict

from accounts.models import Account, User
from agent_runs.models import AgentRun
from agent_runs.querysets import RunFilter, failures_of, live_runs, newest, newest_of_each, run_page
from dashboard.experiment_page import figures_of
from dashboard.forms.runs import RunFilterForm
from dashboard.project_rows import with_runs
from dashboard.views.budgets import alerts_of_today
from dashboard.views.overview import FAILURES, LIVE_RUNS, RECENT_RUNS
from dashboard.views.projects import ISSUES_SHOWN, runs_of_issue
from dashboard.views.prompt_trials import issues_for
from dashboard.views.pull_requests import run_of
from dashboard.views.runs import read_facts
from metrics.analytics.quality import quality_trend, rolling_by_variant, worst_runs
from metrics.analytics.runs import cohorts, percentiles, totals_by_project
from metrics.analytics.spend import BREAKDOWNS, forecast, spend_by
from metrics.models import Dimension, ExperimentReading, Measure
from metrics.overview import read_overview
from metrics.querysets import budgets_of, recent_alerts, unpriced_models
from projects.models import Issue, Project, PullRequest
from projects.querysets import comments_of, issues_of, projects_of, pull_requests_of, with_open_issues
from prompts.experiments.querysets import experiments_of, variants_of
from prompts.listing import prompt_page
from prompts.models import AbTest, Prompt
from prompts.querysets import versions_of
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
        "overview: runs now": lambda: newest(live_runs(account), LIVE_RUNS),
        "overview: last failures": lambda: newest(failures_of(account, days=DAYS), FAILURES),
        "overview: runs now, newest and failed, with names": lambda: newest_of_each(
            (live_runs(account), LIVE_RUNS),
            (AgentRun.objects.filter(account_id=account), RECENT_RUNS),
            (failures_of(account, days=DAYS), FAILURES),
        ),
        "overview: alerts of a day": lambda: alerts_of_today(account),
    }


def _projects(bench: Bench, account: int) -> Reads:
    project = Project.objects.get(pk=bench.world.project_id)
    issue = Issue.objects.filter(account_id=account, project=project).latest("id")
    pull_request = PullRequest.objects.filter(account_id=account, project=project).latest("id")
    return {
        "projects: totals of all time": lambda: totals_by_project(account),
        "projects: all, with how many issues are open": lambda: list(with_open_issues(projects_of(account))),
        "projects: how many runs are live": lambda: Counter(live_runs(account).values_list("project_id", flat=True)),
        "project: newest issues with their runs": lambda: with_runs(issues_of(project)[:ISSUES_SHOWN]),
        "project: newest pull requests": lambda: list(pull_requests_of(project)[:20]),
        "issue: its runs": lambda: runs_of_issue(issue),
        "issue: its comments": lambda: list(comments_of(project, issue.number)),
        "pull request: its run": lambda: run_of(pull_request),
    }


def _runs(bench: Bench, account: int) -> Reads:
    def page(**narrowed: object) -> Callable[[], object]:
        return lambda: run_page(account, RunFilter(**narrowed), after=None, size=50)  # type: ignore[arg-type]

    first = run_page(account, RunFilter(), after=None, size=50)
    today = datetime.now(UTC).date()
    texts = {
        "a word of few titles": bench.world.rare_word,
        "a word of many titles": bench.world.common_word,
        "a word of one title in 45": _word_of_one_in(bench, 45),
        "a word of one title in 200": _word_of_one_in(bench, 200),
        "a branch": AgentRun.objects.get(pk=bench.world.longest_run.run_id).branch,
        "what half of the errors say": "ended with an error",
        "what no run has": "no such words",
        "a number": f"#{bench.world.longest_run.run_id}",
        "signs, which no index knows": "~>",
    }
    return {
        "runs: newest": page(),
        "runs: next page": lambda: run_page(account, RunFilter(), after=first.next_position, size=50),
        "runs: failed": page(status="failed"),
        "runs: stopped": page(status="stopped"),
        "runs: of a project": page(project_id=bench.world.project_id),
        "runs: of a model": page(language_model_id=bench.world.language_model_id),
        "runs: of a prompt version": page(prompt_version_id=bench.world.prompt_version_id),
        "runs: live": page(status="live"),
        "runs: of an agent": page(agent="claude_code"),
        "runs: of an agent that has none": page(agent="codex"),
        "runs: of a week a month ago": page(since=today - timedelta(days=37), until=today - timedelta(days=DAYS)),
        "runs: failed ones of a project, a month ago": page(
            status="failed", project_id=bench.world.project_id, until=today - timedelta(days=DAYS)
        ),
        **{f"runs: by {name}": page(text=text) for name, text in texts.items()},
        "runs: failed ones by a word of one title in 45": page(
            status="failed", text=texts["a word of one title in 45"]
        ),
        "runs: choices of the filter": lambda: RunFilterForm(Account(pk=account), QueryDict()),
    }


def _word_of_one_in(bench: Bench, one_in: int) -> str:
    """The word of the titles that comes nearest to it, in a sample of them."""
    newest = Issue.objects.filter(account_id=bench.world.account_id).order_by("-pk").values_list("title", flat=True)
    titles = newest[:20_000]
    held = Counter(word for title in titles for word in set(title.split()))
    return min(held, key=lambda word: abs(math.log(held[word] * one_in / len(titles))))


def _one_run(bench: Bench, account: int) -> Reads:
    longest = bench.world.longest_run.run_id
    reader = User(pk=bench.world.user_id)

    def read() -> AgentRun:
        return AgentRun.objects.get(account_id=account, pk=longest)

    def what_it_names() -> object:
        run = read()
        return run.project, run.issue, run.prompt_version, run.language_model, run.pull_request, run.requested_by

    return {
        "run: its row": read,
        "run: its row and the six that it names": what_it_names,
        "run: steps, model, diff, calls, money, retries, quality, votes": lambda: read_facts(read(), reader),
    }


def _prompts(bench: Bench, account: int) -> Reads:
    prompt = Prompt.objects.select_related("project").get(pk=bench.world.prompt_id)
    test = AbTest.objects.select_related("prompt__current_version").get(pk=bench.world.ab_test_id)
    first = prompt_page(account, after=None, size=50)
    return {
        "prompts: first page": lambda: prompt_page(account, after=None, size=50),
        "prompts: next page": lambda: prompt_page(account, after=first.next_position, size=50),
        "prompt: its versions": lambda: list(versions_of(prompt)),
        "prompt: newest issues to try it on": lambda: issues_for(account, prompt),
        "experiments: newest, with what they show": lambda: list(
            ExperimentReading.objects.filter(account_id=account, ab_test__in=list(experiments_of(account)[:51]))
        ),
        "experiment: figures": lambda: figures_of(test, list(variants_of(test)), None),
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
        "budgets: newest alerts": lambda: recent_alerts(account),
        "budgets: models without a price": lambda: unpriced_models(account),
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
        reads = _overview(account) | _projects(bench, account) | _runs(bench, account) | _one_run(bench, account)
        reads |= _prompts(bench, account) | _analytics(bench, account)
        for name, read in reads.items():
            timed = time_calls(read)
            yield Figure(
                f"{name}, p95", timed.p95_ms, "ms", at_most(limit), base.p95_ms,
                "30 days of runs counted from their rows", details=timed.details,
            )  # fmt: skip
