"""A month of the ledger goes, and the sums that it was added to stay: exact, and proven as before."""

import json
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import uuid4

import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.db.models import F, Sum

from agent_runs.models import AgentRun
from metrics.models import SpendDaily, TokenUsage, UsageDaily
from metrics.operations import correct_usage
from paid.lib import partitions
from paid.lib.partitions import Expired, Missing
from paid.lib.sql import SqlFile
from paid.lib.tenancy import platform
from tests.database import owner_connection
from tests.factories.agent_runs import finished_run
from tests.factories.metrics import TokenUsageFactory
from tests.factories.projects import ProjectFactory
from tests.metrics.test_settling import another_gateway

pytestmark = pytest.mark.django_db
JANUARY = datetime(2024, 1, 1, tzinfo=UTC)
FEBRUARY = datetime(2024, 2, 1, tzinfo=UTC)
LAST_OF_JANUARY = datetime(2024, 1, 31, 20, tzinfo=UTC)
# A run may be paused for a week, and more than once.
A_WEEK_LATER = datetime(2024, 2, 7, 12, tzinfo=UTC)


def make_months() -> None:
    for month in (JANUARY, FEBRUARY):
        partitions.create(Missing("token_usages", month))


def drop_january(pause: partitions.Pause = time.sleep) -> None:
    """As retention does."""
    partitions.drop(Expired("token_usages", "token_usages_p202401", FEBRUARY, 0, 0), pause=pause)


def booked(run: AgentRun, at: datetime, usd: str) -> TokenUsage:
    usage: TokenUsage = TokenUsageFactory(run=run, created_at=at, cost_usd=Decimal(usd))
    return usage


def run_of(project: Any, created_at: datetime, usd: str, calls: int, **of_run: Any) -> AgentRun:
    """A run that has ended, with the sums that its calls of the factory come to."""
    run: AgentRun = finished_run(
        project=project, created_at=created_at, started_at=created_at, finished_at=created_at, cost_usd=Decimal(usd),
        input_tokens=1_000 * calls, output_tokens=200 * calls, **of_run,
    )  # fmt: skip
    return run


def make_runs() -> tuple[AgentRun, AgentRun]:
    """One of January with a call on the day itself and one in February, and one of February with a call of that day."""
    make_months()
    project = ProjectFactory()
    of_january = run_of(project, LAST_OF_JANUARY, "3", 2)
    same = {"prompt_version": of_january.prompt_version, "language_model": of_january.language_model}
    of_february = run_of(project, FEBRUARY, "4", 1, **same)
    booked(of_january, LAST_OF_JANUARY, "1")
    booked(of_january, A_WEEK_LATER, "2")
    booked(of_february, A_WEEK_LATER, "4")
    return of_january, of_february


@pytest.fixture
def runs() -> tuple[AgentRun, AgentRun]:
    return make_runs()


def asked(command: str, *arguments: str) -> tuple[int, dict[str, Any]]:
    """The command's exit code, and what it said."""
    out, code = StringIO(), 0
    try:
        call_command(command, "--json", *arguments, stdout=out)
    except SystemExit as ended:
        code = int(str(ended.code))
    return code, json.loads(out.getvalue())


def spent() -> list[tuple[date, int, Decimal]]:
    """What pages add up, by day."""
    with platform():
        days = UsageDaily.objects.values("day").annotate(all_calls=Sum("calls"), usd=Sum("cost_usd")).order_by("day")
        return [(day["day"], day["all_calls"], day["usd"]) for day in days]


def spent_by(dimension: str) -> list[tuple[date, int, Decimal]]:
    with platform():
        rows = SpendDaily.objects.filter(dimension=dimension).values("day").order_by("day")
        return [(row["day"], row["c"], row["u"]) for row in rows.annotate(c=Sum("calls"), u=Sum("cost_usd"))]


def cost_on_run(run: AgentRun) -> Decimal:
    with platform():
        return AgentRun.objects.values_list("cost_usd", flat=True).get(pk=run.pk)


def assert_nothing_differs() -> None:
    """And nothing is changed by commands that would mend it."""
    for arguments in (("--dry-run",), ()):
        code, report = asked("reconcile_usage", *arguments)
        assert (code, report["days"], report["runs"]) == (0, [], [])
        code, report = asked("rebuild_rollups", *arguments)
        assert (code, report["sums"]) == (0, [])


BEFORE = [(date(2024, 1, 31), 1, Decimal(1)), (date(2024, 2, 7), 2, Decimal(6))]


def test_sums_stay_when_the_month_of_a_run_with_calls_a_week_later_goes(runs: tuple[AgentRun, AgentRun]) -> None:
    assert_nothing_differs()
    drop_january()
    assert_nothing_differs()
    assert spent() == spent_by("prompt_version") == spent_by("person") == BEFORE
    assert [cost_on_run(run) for run in runs] == [Decimal(3), Decimal(4)]


def test_a_late_row_that_brings_its_month_back_makes_no_run_poorer(runs: tuple[AgentRun, AgentRun]) -> None:
    drop_january()
    booked(runs[0], A_WEEK_LATER, "0")
    # It lies in the default partition; its month is made for it, and goes once more.
    assert Missing("token_usages", JANUARY) in list(partitions.create_missing())
    assert_nothing_differs()
    before = spent()
    assert [cost_on_run(run) for run in runs] == [Decimal(3), Decimal(4)]
    drop_january()
    assert_nothing_differs()
    assert spent() == before
    assert [cost_on_run(run) for run in runs] == [Decimal(3), Decimal(4)]


def test_sums_stay_when_a_correction_of_months_later_goes_with_its_call(runs: tuple[AgentRun, AgentRun]) -> None:
    of_january, _ = runs
    with platform():
        call = TokenUsage.objects.get(agent_run_id=of_january.pk, cost_usd=1)
    correct_usage(
        run_created_at=of_january.created_at,
        request_id=call.request_id,
        corrected_cost_usd=Decimal("0.25"),
        correction_id=uuid4(),
    )
    assert_nothing_differs()
    before = spent()
    assert before[-1][1:] == (0, Decimal("-0.75"))
    drop_january()
    assert_nothing_differs()
    assert spent() == spent_by("prompt_version") == before
    assert cost_on_run(of_january) == Decimal("2.25")


def test_days_that_a_dropped_month_reached_are_still_proven_and_mended(runs: tuple[AgentRun, AgentRun]) -> None:
    _, of_february = runs
    drop_january()
    with platform():
        day_of_february = UsageDaily.objects.filter(day=A_WEEK_LATER, slot=of_february.pk % 16)
        assert day_of_february.update(cost_usd=F("cost_usd") + 5) == 1
    code, report = asked("reconcile_usage")
    (day,) = report["days"]
    assert (code, day["day"], Decimal(day["ledger_usd"]), Decimal(day["daily_usd"])) == (
        0,
        "2024-02-07",
        Decimal(4),
        Decimal(9),
    )
    assert spent() == BEFORE


def test_days_that_a_dropped_month_filled_are_still_proven_and_mended(runs: tuple[AgentRun, AgentRun]) -> None:
    of_january, _ = runs
    drop_january()
    with platform():
        # A slot is the number of a run by sixteen: one that none of the day's runs has.
        taken = set(UsageDaily.objects.filter(day=LAST_OF_JANUARY.date()).values_list("slot", flat=True))
        free = min(set(range(16)) - taken)
        UsageDaily.objects.create(
            account_id=of_january.account_id, project_id=of_january.project_id, day=LAST_OF_JANUARY.date(), slot=free,
            language_model_id=of_january.language_model_id, calls=1, cost_usd=Decimal(7),
        )  # fmt: skip
    assert asked("reconcile_usage", "--dry-run")[0] == 1
    assert asked("reconcile_usage")[0] == 0
    assert_nothing_differs()
    assert spent() == BEFORE


def test_folding_leaves_what_came_of_dropped_months_apart(runs: tuple[AgentRun, AgentRun]) -> None:
    drop_january()
    with platform(), connection.cursor() as cursor:
        for day in ("2024-01-31", "2024-02-07"):
            cursor.execute("SELECT fold_daily_slots(%s)", [day])
    assert_nothing_differs()
    assert spent() == spent_by("person") == BEFORE


def test_a_run_whose_month_is_gone_keeps_its_sums_though_an_older_row_is_left(
    runs: tuple[AgentRun, AgentRun],
) -> None:
    """In the default partition, which retention does not reach."""
    older = run_of(ProjectFactory(), datetime(2020, 5, 1, tzinfo=UTC), "8", 1)
    booked(older, older.created_at, "8")
    drop_january()
    assert_nothing_differs()
    assert [cost_on_run(run) for run in (older, *runs)] == [Decimal(8), Decimal(3), Decimal(4)]


@pytest.fixture
def lasting_runs(transactional_db: None) -> Iterator[tuple[AgentRun, AgentRun]]:
    """As `runs`, in transactions that end; partitions outlive them."""
    yield make_runs()
    for month in partitions.expired():
        partitions.drop(month)


@pytest.mark.django_db(transaction=True)
def test_a_correction_that_is_being_written_goes_with_its_month(lasting_runs: tuple[AgentRun, AgentRun]) -> None:
    of_january, _ = lasting_runs
    with platform():
        call = TokenUsage.objects.get(agent_run_id=of_january.pk, cost_usd=1)
    with another_gateway() as corrector:
        correction = [call.run_created_at, call.request_id, Decimal("0.25"), uuid4()]
        corrector.execute("SELECT ledger_correct(%s, %s, %s, %s)", correction)
        drop_january(pause=lambda _seconds: corrector.commit())
    assert_nothing_differs()
    assert [usd for _, _, usd in spent()] == [Decimal(1), Decimal(6), Decimal("-0.75")]
    assert cost_on_run(of_january) == Decimal("2.25")


@contextmanager
def former_retention() -> Iterator[None]:
    """When a month left nothing of itself."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("ALTER TABLE detached_partitions DISABLE TRIGGER ledger_month_leaves")
        yield
        cursor.execute("ALTER TABLE detached_partitions ENABLE TRIGGER ledger_month_leaves")


def believe_the_sums() -> None:
    """As the migration does."""
    with connections["owner"].cursor() as cursor:
        for statement in SqlFile("metrics", "ledger_months_of_the_past").forwards:
            cursor.execute(statement)


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_months_that_went_before_are_believed_once(lasting_runs: tuple[AgentRun, AgentRun]) -> None:
    with former_retention():
        drop_january()
    assert asked("reconcile_usage", "--dry-run")[0] == 1
    believe_the_sums()
    assert_nothing_differs()
    assert spent() == spent_by("prompt_version") == spent_by("person") == BEFORE


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_nothing_is_believed_where_no_month_went(lasting_runs: tuple[AgentRun, AgentRun]) -> None:
    with platform():
        assert UsageDaily.objects.filter(day=LAST_OF_JANUARY).update(cost_usd=Decimal(9)) == 1
    believe_the_sums()
    assert len(asked("reconcile_usage", "--dry-run")[1]["days"]) == 1


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_sums_are_whole_when_the_slot_of_dropped_months_goes(lasting_runs: tuple[AgentRun, AgentRun]) -> None:
    drop_january()
    with owner_connection() as owner:
        for statement in SqlFile("metrics", "ledger_months").backwards:
            owner.execute(statement.encode())
        by_slot = owner.execute("SELECT min(slot), sum(cost_usd) FROM usage_daily GROUP BY day ORDER BY day").fetchall()
        of_people = (
            "SELECT min(slot), sum(cost_usd) FROM spend_daily WHERE dimension = 'person' GROUP BY day ORDER BY day"
        )
        by_person = owner.execute(of_people).fetchall()
        owner.rollback()
    assert by_slot == by_person == [(0, usd) for _, _, usd in BEFORE]
