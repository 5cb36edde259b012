"""The sums behind the pages equal the rows, whatever happens to the rows."""

import json
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import User
from agent_runs.models import AgentRun, RunStatus
from metrics.models import QualityDaily, QualityMetric, RunHistogram, RunsDaily, SpendDaily, UsageDaily
from metrics.rollups import Span, compare, fold_closed_days, spans
from paid.lib.tenancy import platform
from tests.factories.accounts import UserFactory
from tests.factories.agent_runs import AgentRunFactory, finished_run
from tests.factories.metrics import QualityMetricFactory, TokenUsageFactory
from tests.factories.projects import ProjectFactory

JANUARY = date(2026, 1, 1)
MARCH = date(2026, 3, 1)
ENDED = [RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.STOPPED]


def drift(account_id: int, *, is_dry_run: bool = True) -> list[tuple[str, str, int]]:
    with platform():
        found = compare(Span(account_id, JANUARY, date(2027, 1, 1)), is_dry_run=is_dry_run)
    return [(one.rollup, one.dimension, one.subject) for one in found]


def at(day: int, hour: int = 12, minute: int = 0, second: int = 0) -> datetime:
    return datetime(2026, 1, day, hour, minute, second, tzinfo=UTC)


def ended(project, day: int, status: RunStatus, *, seconds: int = 40, cost: str = "1", by: User | None = None):
    return finished_run(
        status=status,
        project=project,
        created_at=at(day, 9),
        started_at=at(day, 10),
        finished_at=at(day, 10, seconds // 60, seconds % 60),
        cost_usd=Decimal(cost),
        iterations=3,
        requested_by=by,
    )


def sums_of(account_id: int, **which: object) -> list[tuple[object, ...]]:
    with platform():
        found = RunsDaily.objects.filter(account_id=account_id, **which).order_by("day", "dimension_id")
        return list(found.values_list("day", "completed", "failed", "stopped", "timed", "milliseconds", "cost_usd"))


@pytest.mark.django_db
def test_a_day_holds_the_runs_that_ended_and_what_they_cost():
    project = ProjectFactory()
    ended(project, 5, RunStatus.COMPLETED, seconds=30, cost="0.25")
    ended(project, 5, RunStatus.FAILED, seconds=90, cost="0.5")
    ended(project, 6, RunStatus.STOPPED, seconds=10, cost="0.125")
    AgentRunFactory(project=project, created_at=at(6), status=RunStatus.RUNNING, cost_usd=Decimal(9))

    expected = [
        (date(2026, 1, 5), 1, 1, 0, 2, 120_000, Decimal("0.75")),
        (date(2026, 1, 6), 0, 0, 1, 1, 10_000, Decimal("0.125")),
    ]
    assert sums_of(project.account_id, dimension="all") == expected
    assert sums_of(project.account_id, dimension="project", dimension_id=project.pk) == expected
    assert sums_of(project.account_id, dimension="person", dimension_id=0) == expected


@pytest.mark.django_db
def test_a_run_that_never_began_counts_without_a_duration():
    run = finished_run(status=RunStatus.STOPPED, created_at=at(5), started_at=None, finished_at=at(5, 13))

    assert sums_of(run.account_id, dimension="all") == [(date(2026, 1, 5), 0, 0, 1, 0, 0, Decimal(0))]
    with platform():
        assert list(
            RunHistogram.objects.filter(account_id=run.account_id).values_list("measure", "bucket", "runs")
        ) == [("usd", -100_000, 1)]


@pytest.mark.django_db
def test_a_correction_after_the_end_moves_the_cost_and_its_bucket():
    run = ended(ProjectFactory(), 5, RunStatus.COMPLETED, cost="1")
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(cost_usd=Decimal(2))

        assert sums_of(run.account_id, dimension="all")[0][-1] == Decimal(2)
        costs = RunHistogram.objects.filter(account_id=run.account_id, measure="usd", runs__gt=0)
        # 1.02^35 = 1.9999 is just below 2.
        assert list(costs.values_list("bucket", "runs")) == [(36, 1)]
    assert drift(run.account_id) == []


@pytest.mark.django_db
def test_what_a_model_call_adds_to_a_live_run_touches_no_sum():
    run = AgentRunFactory(status=RunStatus.RUNNING, created_at=at(5))
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(cost_usd=Decimal(3), iterations=8)

    assert sums_of(run.account_id) == []


@pytest.mark.django_db
def test_quality_that_is_not_known_is_on_neither_side():
    quality = QualityMetricFactory(created_at=at(5), quality_score=Decimal("0.5"))
    with platform():
        unknown = QualityDaily.objects.get(account_id=quality.account_id, dimension="all")
        assert (unknown.runs, unknown.scored, unknown.score_sum) == (1, 1, Decimal("0.5"))
        assert (unknown.merged, unknown.unmerged, unknown.tests_passed, unknown.tests_failed) == (0, 0, 0, 0)

        QualityMetric.objects.filter(pk=quality.pk).update(is_merged=False, has_passing_tests=True, quality_score=None)
        known = QualityDaily.objects.get(account_id=quality.account_id, dimension="all")
        assert (known.runs, known.scored, known.score_sum) == (1, 0, Decimal(0))
        assert (known.merged, known.unmerged, known.tests_passed, known.tests_failed) == (0, 1, 1, 0)


STEPS = st.lists(
    st.one_of(
        st.tuples(st.just("insert"), st.sampled_from(ENDED), st.integers(1, 3), st.integers(0, 5)),
        st.tuples(st.just("live"), st.integers(1, 3)),
        st.tuples(st.just("end"), st.integers(0, 9), st.sampled_from(ENDED), st.integers(0, 5)),
        st.tuples(st.just("cost"), st.integers(0, 9), st.decimals("0", "100", places=12)),
        st.tuples(st.just("ledger"), st.integers(0, 9), st.integers(1, 3), st.decimals("0", "9", places=12)),
        st.tuples(st.just("quality"), st.integers(0, 9), st.none() | st.decimals("0", "1", places=5)),
        st.tuples(st.just("score"), st.none() | st.decimals("0", "1", places=5), st.none() | st.booleans()),
    ),
    max_size=10,
)


class Playing:
    """One account with two projects and two people, on which a sequence of steps is played."""

    def __init__(self) -> None:
        first = ProjectFactory()
        self.projects = [first, ProjectFactory(account=first.account)]
        self.people = [None, UserFactory()]
        sample = AgentRunFactory(project=first, created_at=at(9))
        self.same = {"prompt_version": sample.prompt_version, "language_model": sample.language_model}
        self.account_id = first.account_id
        self.runs: list[AgentRun] = [sample]

    def make(self, day: int, **run: object) -> None:
        number = len(self.runs)
        made = {"project": self.projects[number % 2], "requested_by": self.people[number % 2], "created_at": at(day)}
        self.runs.append(AgentRunFactory(**made, **self.same, **run))

    def some(self, number: int):
        return AgentRun.objects.filter(pk=self.runs[number % len(self.runs)].pk)

    def insert(self, status: RunStatus, day: int, seconds: int) -> None:
        self.make(day, status=status, started_at=at(day), finished_at=at(day, 12, 0, seconds))

    def live(self, day: int) -> None:
        self.make(day, status=RunStatus.PUBLISHING)

    def end(self, number: int, status: RunStatus, seconds: int) -> None:
        live = self.some(number).filter(status=RunStatus.PUBLISHING)
        live.update(status=status, started_at=at(9), finished_at=at(9, 12, 0, seconds))

    def cost(self, number: int, usd: Decimal) -> None:
        self.some(number).update(cost_usd=usd)

    def ledger(self, number: int, day: int, usd: Decimal) -> None:
        run = self.some(number).first()
        if run:
            TokenUsageFactory(run=run, created_at=at(day), cost_usd=usd)

    def quality(self, number: int, score: Decimal | None) -> None:
        run = self.some(number).filter(quality_metric=None).first()
        if run:
            QualityMetricFactory(agent_run=run, quality_score=score, created_at=at(9))

    def score(self, score: Decimal | None, is_merged: bool | None) -> None:
        rows = QualityMetric.objects.filter(account_id=self.account_id)
        rows.update(quality_score=score, is_merged=is_merged, votes_up=2)


@pytest.mark.django_db
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_sequence_of_changes_leaves_the_sums_equal_to_the_rows(steps):
    with transaction.atomic(), platform():
        playing = Playing()
        for name, *arguments in steps:
            getattr(playing, name)(*arguments)

        assert drift(playing.account_id) == []
        transaction.set_rollback(True)


def as_owner(sql: str, *arguments: Any) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(sql, arguments)


def rebuild(*arguments: str) -> tuple[int, dict[str, Any]]:
    """The command's exit code, and what it said."""
    out = StringIO()
    try:
        call_command("rebuild_rollups", "--json", *arguments, stdout=out)
    except SystemExit as left:
        return int(str(left.code)), json.loads(out.getvalue())
    return 0, json.loads(out.getvalue())


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_runs_that_go_with_their_project_leave_the_sums():
    keeps, goes = ProjectFactory(), ProjectFactory()
    ended(keeps, 5, RunStatus.COMPLETED)
    QualityMetricFactory(agent_run=ended(goes, 5, RunStatus.FAILED), quality_score=Decimal("0.5"))
    as_owner("DELETE FROM agent_runs WHERE project_id = %s", goes.pk)

    assert drift(goes.account_id) == []
    assert sums_of(goes.account_id, dimension="all") == [(date(2026, 1, 5), 0, 0, 0, 0, 0, Decimal(0))]
    assert sums_of(keeps.account_id, dimension="all")[0][1] == 1


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_command_finds_what_was_tampered_with_and_mends_it():
    project = ProjectFactory()
    run = ended(project, 5, RunStatus.COMPLETED, by=UserFactory())
    TokenUsageFactory(run=run, created_at=at(5), cost_usd=Decimal(1))
    QualityMetricFactory(agent_run=run, created_at=at(5), quality_score=Decimal("0.5"))
    slug = project.account.slug
    months = len(spans(project.account_id))
    equal = {"is_equal": True, "is_mended": False, "months": months, "folded_rows": 0, "sums": []}
    assert rebuild("--account", slug) == (0, equal)

    as_owner(
        "UPDATE runs_daily SET cost_usd = cost_usd + 1 WHERE dimension = 'project' AND account_id = %s",
        project.account_id,
    )
    as_owner("DELETE FROM run_histograms WHERE measure = 'usd' AND account_id = %s", project.account_id)
    as_owner("UPDATE quality_daily SET merged = 7 WHERE dimension = 'all' AND account_id = %s", project.account_id)
    as_owner("UPDATE spend_daily SET calls = 2 WHERE dimension = 'person' AND account_id = %s", project.account_id)
    tampered = [
        ("quality_daily", "all", 0),
        ("run_histograms", "usd", 0),
        ("runs_daily", "project", project.pk),
        ("spend_daily", "person", run.requested_by_id),
    ]
    code, report = rebuild("--dry-run", "--account", slug)
    assert (code, len(report["sums"]), report["is_mended"]) == (1, 4, False)
    assert drift(project.account_id) == tampered

    code, report = rebuild("--account", slug)
    assert (code, len(report["sums"]), report["is_mended"]) == (0, 4, True)
    assert report["sums"][1] == {
        "account_id": project.account_id, "rollup": "run_histograms", "dimension": "usd", "subject": 0,
        "day": "2026-01-05", "raw": ["1"], "kept": None,
    }  # fmt: skip
    assert drift(project.account_id) == []


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_rows_that_were_loaded_with_triggers_off_are_added():
    project = ProjectFactory()
    as_owner("ALTER TABLE agent_runs DISABLE TRIGGER runs_daily_on_insert")
    ended(project, 5, RunStatus.COMPLETED)
    as_owner("ALTER TABLE agent_runs ENABLE TRIGGER runs_daily_on_insert")
    assert sums_of(project.account_id) == []

    rebuild("--account", project.account.slug)
    assert sums_of(project.account_id, dimension="all") == [(date(2026, 1, 5), 1, 0, 0, 1, 40_000, Decimal(1))]


@pytest.mark.django_db
def test_an_account_that_is_not_there_is_told_in_words():
    with pytest.raises(CommandError, match="There is no account nowhere"):
        call_command("rebuild_rollups", "--account", "nowhere")


@pytest.mark.django_db
def test_a_month_is_one_span_from_the_first_run_to_now(time_machine):
    time_machine.move_to(datetime(2026, 3, 31, 23, tzinfo=UTC))
    run = AgentRunFactory(created_at=at(31, 23))

    assert spans(run.account_id) == [
        Span(run.account_id, JANUARY, date(2026, 2, 1)),
        Span(run.account_id, date(2026, 2, 1), MARCH),
        Span(run.account_id, MARCH, date(2026, 4, 1)),
    ]


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_closed_days_are_folded_into_one_slot_and_today_is_not():
    run = ended(ProjectFactory(), 5, RunStatus.COMPLETED, by=UserFactory())
    model, today = run.language_model_id, datetime.now(UTC).date()
    for slot, day in ((0, date(2026, 1, 5)), (3, date(2026, 1, 5)), (9, date(2026, 1, 5)), (9, today)):
        as_owner(
            "INSERT INTO usage_daily (account_id, project_id, language_model_id, day, slot, calls, cost_usd)"
            " VALUES (%s, %s, %s, %s, %s, 2, 0.125)", run.account_id, run.project_id, model, day, slot,
        )  # fmt: skip
        as_owner(
            "INSERT INTO spend_daily (account_id, dimension, dimension_id, day, slot, calls, cost_usd)"
            " VALUES (%s, 'person', %s, %s, %s, 2, 0.125)", run.account_id, run.requested_by_id, day, slot,
        )  # fmt: skip

    assert fold_closed_days() == 4
    expected = [(date(2026, 1, 5), 0, 6, Decimal("0.375")), (today, 9, 2, Decimal("0.125"))]
    with platform():
        for table in (UsageDaily, SpendDaily):
            rows = table.objects.filter(account_id=run.account_id).order_by("day")
            assert list(rows.values_list("day", "slot", "calls", "cost_usd")) == expected
    assert fold_closed_days() == 0
