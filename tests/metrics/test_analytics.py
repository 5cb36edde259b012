"""The named queries, as a tenant asks them, against values that were worked out by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pytest
from django.db import connection

from agent_runs.models import RunStatus
from metrics.analytics.quality import WorstRun, quality_trend, rolling_by_variant, worst_runs
from metrics.analytics.reading import ask
from metrics.analytics.runs import (
    ModelHistory,
    cohorts,
    history_by_model,
    percentiles,
    totals_by_project,
)
from metrics.analytics.spend import BREAKDOWNS, forecast, spend_by
from metrics.models import BudgetPeriod, Dimension, Measure
from metrics.overview import Day, Overview, read_overview
from paid.lib.tenancy import tenant
from tests.factories.accounts import AccountFactory, MembershipFactory, UserFactory
from tests.factories.agent_runs import AgentRunFactory, finished_run
from tests.factories.metrics import CostBudgetFactory, QualityMetricFactory, TokenUsageFactory, UsageDailyFactory
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import (
    AbTestFactory,
    AbVariantFactory,
    LanguageModelFactory,
    PromptFactory,
    PromptVersionFactory,
)

pytestmark = pytest.mark.django_db
MONTH: dict[str, Any] = {"since": date(2026, 1, 1), "until": date(2026, 1, 31)}


def at(day: int, hour: int = 12) -> datetime:
    return datetime(2026, 1, day, hour, tzinfo=UTC)


def ended(project, day: int = 5, *, seconds: int = 40, status: RunStatus = RunStatus.COMPLETED, **run: Any):
    begun = at(day, 10)
    times = {"created_at": at(day, 9), "started_at": begun, "finished_at": begun + timedelta(seconds=seconds)}
    return finished_run(status=status, project=project, **times, **run)


def test_rdr_003_scenario_3_calculate_ab_test_statistics():
    """Window functions correctly compute rolling averages: 30 runs per variant, in order of time.

    A scores 0.01, 0.02, … 0.35. Its 30th mean is (1 + … + 30) / 30 / 100 = 0.155; the 35th drops the first five:
    (6 + … + 35) / 30 / 100 = 0.205. B always scores 0.5.
    """
    project = ProjectFactory()
    test = AbTestFactory(prompt=PromptFactory(account=project.account))
    a, b = AbVariantFactory(ab_test=test, is_control=True), AbVariantFactory(ab_test=test)
    for number in range(1, 36):
        run = AgentRunFactory(project=project)
        moment = at(1) + timedelta(hours=number)
        score = Decimal(number) / 100
        QualityMetricFactory(agent_run=run, ab_variant_id=a.pk, created_at=moment, quality_score=score)
    unscored = AgentRunFactory(project=project)
    QualityMetricFactory(agent_run=unscored, ab_variant_id=a.pk, created_at=at(1, 20), quality_score=None)
    for hour in (3, 4):
        run = AgentRunFactory(project=project)
        QualityMetricFactory(agent_run=run, ab_variant_id=b.pk, created_at=at(2, hour), quality_score=Decimal("0.5"))

    with tenant(project.account_id), connection.cursor() as cursor:
        cursor.execute("SELECT current_user::text")
        assert cursor.fetchone() == ("paid_tenant",)
        points = rolling_by_variant(project.account_id, test.pk)
        latest = rolling_by_variant(project.account_id, test.pk, points=1)
    of_a = [(point.mean, point.runs) for point in points if point.variant_id == a.pk]
    assert len(of_a) == 35
    assert of_a[0] == (Decimal("0.01"), 1)
    assert of_a[1] == (Decimal("0.015"), 2)
    assert of_a[29] == (Decimal("0.155"), 30)
    assert of_a[34] == (Decimal("0.205"), 30)
    assert [(point.mean, point.runs) for point in points if point.variant_id == b.pk] == [
        (Decimal("0.5"), 1),
        (Decimal("0.5"), 2),
    ]
    # The last point alone is the mean of the same 30 runs.
    assert [(point.variant_id, point.mean) for point in latest] == [(a.pk, Decimal("0.205")), (b.pk, Decimal("0.5"))]


def test_every_breakdown_of_the_spend_adds_up_to_the_ledger():
    alice = UserFactory(name="Alice")
    project = ProjectFactory(name="slugify")
    MembershipFactory(account=project.account, user=alice)
    first = AgentRunFactory(project=project, requested_by=alice)
    second = AgentRunFactory(project=project)
    TokenUsageFactory(run=first, created_at=at(5), cost_usd=Decimal("0.5"))
    TokenUsageFactory(run=first, created_at=at(6), cost_usd=Decimal("0.125"))
    TokenUsageFactory(run=second, created_at=at(31, 23), cost_usd=Decimal(0), is_priced=False)
    TokenUsageFactory(run=second, created_at=at(31, 23) + timedelta(hours=1), cost_usd=Decimal(9))

    with tenant(project.account_id, alice.pk):
        found = {by: spend_by(by, project.account_id, **MONTH) for by in BREAKDOWNS}
    assert {
        by: (sum(one.cost_usd for one in lines), sum(one.calls for one in lines)) for by, lines in found.items()
    } == (dict.fromkeys(BREAKDOWNS, (Decimal("0.625"), 3)))
    assert [(one.name, one.cost_usd, one.unpriced_calls) for one in found["person"]] == [
        ("Alice", Decimal("0.625"), 0),
        ("Nobody (a label or the API)", Decimal(0), 1),
    ]
    assert [(one.name, one.calls) for one in found["project"]] == [("slugify", 3)]
    days = {one.name: one.cost_usd for one in found["day"]}
    assert len(days) == 31
    assert days["2026-01-05"] == Decimal("0.5")
    assert days["2026-01-07"] == 0


def test_the_forecast_is_the_mean_of_the_days_before_with_an_interval():
    """14 days of 1 and 3 USD by turns, 1 USD today: mean 2, s = √(14/13) = 1.03775, 17 days remain.

    Expected 29 + 1 + 16·2 = 62; t(13) = 1.35017, so ± 1.35017 · 1.03775 · √(17 + 17²/14) = 8.597.
    """
    account = AccountFactory()
    for day in range(1, 15):
        UsageDailyFactory(account=account, day=date(2026, 1, day), cost_usd=Decimal(1 if day % 2 else 3))
    UsageDailyFactory(account=account, day=date(2026, 1, 15), cost_usd=Decimal(1))

    with tenant(account.pk):
        found = forecast(account.pk, today=date(2026, 1, 15))
    assert (found.spent_usd, found.expected_usd, found.days_of_history) == (Decimal(29), Decimal(62), 14)
    assert (found.low_usd, found.high_usd) == (Decimal("53.40"), Decimal("70.60"))


def test_a_week_is_needed_before_anything_is_foretold():
    account = AccountFactory()
    for day in range(1, 7):
        UsageDailyFactory(account=account, day=date(2026, 1, day), cost_usd=Decimal(1))

    with tenant(account.pk):
        found = forecast(account.pk, today=date(2026, 1, 7))
    assert (found.spent_usd, found.expected_usd, found.low_usd, found.days_of_history) == (Decimal(6), None, None, 6)


def test_an_account_that_never_spent_has_no_forecast():
    account = AccountFactory()
    with tenant(account.pk):
        found = forecast(account.pk, today=date(2026, 1, 7))
    assert (found.spent_usd, found.expected_usd, found.days_of_history) == (Decimal(0), None, 0)


def test_a_cohort_of_a_prompt_version_says_success_cost_and_worth():
    project = ProjectFactory()
    prompt = PromptFactory(account=project.account, name="Implement")
    version = PromptVersionFactory(prompt=prompt, version=2)
    run: dict[str, Any] = {"prompt_version": version, "cost_usd": Decimal(1)}
    done = [ended(project, seconds=seconds, **run) for seconds in (10, 20, 30)]
    ended(project, seconds=40, status=RunStatus.FAILED, **run)
    ended(project, seconds=50, status=RunStatus.STOPPED, **run)
    AgentRunFactory(project=project, created_at=at(5), **run)
    for finished, score, is_merged in zip(done, ("0.8", "0.6", None), (True, True, False), strict=True):
        worth = score and Decimal(score)
        QualityMetricFactory(agent_run=finished, quality_score=worth, is_merged=is_merged, created_at=at(5))

    with tenant(project.account_id):
        [found] = cohorts(Dimension.PROMPT_VERSION, project.account_id, **MONTH)
    assert (found.name, found.runs, found.completed, found.failed, found.stopped) == ("Implement v2", 5, 3, 1, 1)
    assert (found.success_rate, found.mean_seconds, found.cost_usd) == (0.75, 30.0, Decimal(5))
    assert (found.scored, found.mean_score) == (2, Decimal("0.7"))
    assert (found.merged, found.unmerged, found.cost_per_merged_usd) == (2, 1, Decimal("2.5"))


def test_a_share_of_nothing_is_not_known():
    project = ProjectFactory()
    ended(project, status=RunStatus.STOPPED)

    with tenant(project.account_id):
        [found] = cohorts(Dimension.LANGUAGE_MODEL, project.account_id, **MONTH)
    assert (found.success_rate, found.mean_score, found.cost_per_merged_usd) == (None, None, None)


def test_the_overview_counts_what_ended_what_is_live_and_what_it_cost():
    project = ProjectFactory()
    run = ended(project, 5)
    ended(project, 5, status=RunStatus.FAILED)
    ended(project, 6, status=RunStatus.STOPPED)
    AgentRunFactory(project=project, created_at=at(6), status=RunStatus.RUNNING)
    TokenUsageFactory(run=run, created_at=at(5), cost_usd=Decimal("0.25"))
    TokenUsageFactory(run=run, created_at=at(6), cost_usd=Decimal("0.5"))
    for written_at, is_merged in ((at(4, 23), True), (at(5, 0), True), (at(5), False), (at(6), None), (at(6), True)):
        QualityMetricFactory(agent_run=ended(project, 4), is_merged=is_merged, created_at=written_at)
    CostBudgetFactory(account=project.account, project=None, period=BudgetPeriod.DAY, limit_usd=Decimal(5))
    CostBudgetFactory(account=project.account, project=project, period=BudgetPeriod.DAY, limit_usd=Decimal(1))

    with tenant(project.account_id):
        found = read_overview(project.account_id, days=3, today=date(2026, 1, 7))
    assert found == Overview(
        spent_today_usd=Decimal(0),
        daily_limit_usd=Decimal(5),
        spent_usd=Decimal("0.75"),
        ended=2,
        completed=1,
        merged=2,
        unpriced_calls=0,
        days=[
            Day(date(2026, 1, 5), 1, 1, 0, Decimal("0.25")),
            Day(date(2026, 1, 6), 0, 0, 2, Decimal("0.5")),
            Day(date(2026, 1, 7), 0, 0, 0, Decimal(0)),
        ],
    )


def test_a_projects_totals_hold_live_runs_too():
    project = ProjectFactory()
    ended(project, 5, cost_usd=Decimal("0.5"))
    AgentRunFactory(project=project, created_at=at(7), status=RunStatus.RUNNING, cost_usd=Decimal("0.25"))

    with tenant(project.account_id):
        [(project_id, totals)] = totals_by_project(project.account_id).items()
    assert (project_id, totals.runs, totals.cost_usd, totals.last_started_at) == (project.pk, 2, Decimal("0.75"), at(7))


def test_percentiles_of_few_runs_are_exact():
    """10, 20, 30, 40: the median lies between 20 and 30; the 90th percentile 0.9 · 3 = 2.7 steps above 10."""
    project = ProjectFactory()
    for seconds in (10, 20, 30, 40):
        ended(project, seconds=seconds)

    with tenant(project.account_id):
        found = percentiles(Measure.SECONDS, project.account_id, **MONTH)
    assert found is not None
    assert (found.median, found.p90, found.is_exact) == (25.0, 37.0, True)
    assert found.p99 == pytest.approx(39.7)


def test_percentiles_of_many_runs_are_read_from_buckets_within_one_percent():
    """Of 1, 2, … 10 seconds the 5th, the 9th and the 10th."""
    project = ProjectFactory()
    for seconds in range(1, 11):
        ended(project, seconds=seconds)

    with tenant(project.account_id):
        [(found,)] = ask("runs", "percentiles_of_buckets", measure="seconds", account=project.account_id, **MONTH)
    assert found == [pytest.approx(5, rel=0.01), pytest.approx(9, rel=0.01), pytest.approx(10, rel=0.01)]


def test_the_trend_weighs_a_week_by_its_runs_and_the_worst_come_first():
    """Day 5: 0.2 and 0.4, mean 0.3. Day 6: 0.9. The week until day 6: (0.2 + 0.4 + 0.9) / 3 = 0.5."""
    project = ProjectFactory()
    scores = ((5, "0.2"), (5, "0.4"), (6, "0.9"), (6, None))
    made = [
        QualityMetricFactory(
            agent_run=ended(project, day), created_at=at(day), quality_score=score and Decimal(score)
        ).agent_run_id
        for day, score in scores
    ]

    with tenant(project.account_id):
        trend = {one.day.day: one for one in quality_trend(project.account_id, **MONTH)}
        worst = worst_runs(**MONTH, limit=2)
    assert len(trend) == 31
    assert (trend[4].scored, trend[4].mean, trend[4].week_mean) == (0, None, None)
    assert (trend[5].scored, trend[5].mean, trend[5].week_mean) == (2, Decimal("0.3"), Decimal("0.3"))
    assert (trend[6].scored, trend[6].mean, trend[6].week_mean) == (1, Decimal("0.9"), Decimal("0.5"))
    assert (trend[7].scored, trend[7].mean, trend[7].week_mean) == (0, None, Decimal("0.5"))
    assert worst == [WorstRun(made[0], Decimal("0.2")), WorstRun(made[1], Decimal("0.4"))]


def test_another_account_sees_nothing_even_when_it_asks_by_id():
    project = ProjectFactory()
    run = ended(project)
    TokenUsageFactory(run=run, created_at=at(5))
    QualityMetricFactory(agent_run=run, created_at=at(5), quality_score=Decimal("0.5"))
    theirs = project.account_id

    with tenant(AccountFactory().pk):
        assert [spend_by(by, theirs, **MONTH) for by in ("project", "model", "prompt", "person")] == [[], [], [], []]
        assert sum(one.cost_usd for one in spend_by("day", theirs, **MONTH)) == 0
        assert cohorts(Dimension.PROJECT, theirs, **MONTH) == []
        assert read_overview(theirs, days=1, today=date(2026, 1, 5)) == Overview(
            Decimal(0), None, Decimal(0), 0, 0, 0, 0, [Day(date(2026, 1, 5), 0, 0, 0, Decimal(0))]
        )
        assert totals_by_project(theirs) == {}
        assert percentiles(Measure.USD, theirs, **MONTH) is None
        assert worst_runs(**MONTH) == []
        assert forecast(theirs, today=date(2026, 1, 20)).spent_usd == 0


def test_the_history_of_a_projects_models_is_that_of_its_newest_judged_runs():
    """Small: 3 of 4 runs completed, 2 merged and 1 not, (0.10 + 0.20 + 0.30 + 0.60) / 4 = 0.30 USD. Large: one that
    failed; a second of its runs had a call without a price, and is in no mean. A run that was stopped, a live one and
    one of another project are in neither; of the newest three there are the large model's, and one of the small one's.
    """
    project = ProjectFactory()
    small, large = (LanguageModelFactory(account=project.account) for _ in range(2))
    outcomes: list[tuple[str, RunStatus, bool | None]] = [
        ("0.10", RunStatus.COMPLETED, True),
        ("0.20", RunStatus.COMPLETED, True),
        ("0.30", RunStatus.COMPLETED, False),
        ("0.60", RunStatus.FAILED, None),
    ]
    for day, (cost, status, is_merged) in enumerate(outcomes, start=1):
        run = ended(project, day, status=status, language_model=small, cost_usd=Decimal(cost))
        QualityMetricFactory(agent_run=run, is_merged=is_merged)
    ended(project, 6, status=RunStatus.FAILED, language_model=large, cost_usd=Decimal("2.5"))
    ended(project, 6, status=RunStatus.FAILED, language_model=large, cost_usd=Decimal("0.5"), unpriced_calls=1)
    ended(project, 7, status=RunStatus.STOPPED, language_model=small, cost_usd=Decimal(9))
    AgentRunFactory(project=project, language_model=small)
    ended(ProjectFactory(account=project.account), 8, language_model=small, cost_usd=Decimal(9))

    with tenant(project.account_id):
        found = history_by_model(project.account_id, project.pk)
        newest = history_by_model(project.account_id, project.pk, newest=3)

    of_large = ModelHistory(runs=2, completed=0, merged=0, unmerged=0, mean_cost_usd=Decimal("2.5"))
    assert found == {
        small.pk: ModelHistory(runs=4, completed=3, merged=2, unmerged=1, mean_cost_usd=Decimal("0.3")),
        large.pk: of_large,
    }
    assert newest == {
        small.pk: ModelHistory(runs=1, completed=0, merged=0, unmerged=0, mean_cost_usd=Decimal("0.6")),
        large.pk: of_large,
    }
