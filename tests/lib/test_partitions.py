"""Partitions are made ahead, hold what fell beside them, and go away whole."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from io import StringIO

import psycopg
import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connection, connections
from django.utils import timezone
from structlog.testing import capture_logs

from agent_runs.models import AgentRunLog
from metrics.models import TokenUsage, UsageDaily
from paid import tasks
from paid.celery import app
from paid.lib import partitions
from paid.lib.partitions import Expired, Missing, Unexpected
from paid.lib.tenancy import platform, tenant
from tests.database import owner_connection
from tests.factories.agent_runs import AgentRunFactory, AgentRunLogFactory
from tests.factories.metrics import TokenUsageFactory
from tests.factories.workflows import OutboxCommandFactory
from tests.migrations.catalog import unprotected
from workflows.models import OutboxCommand

LONG_AGO = datetime(2024, 2, 29, 12, tzinfo=UTC)
A_DAY = Missing("agent_run_logs", datetime(2024, 2, 29, tzinfo=UTC))
A_MONTH = Missing("token_usages", datetime(2024, 2, 1, tzinfo=UTC))


def names(parent: str) -> set[str]:
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT name FROM partitions WHERE parent = %s", [parent])
        return {name for (name,) in cursor.fetchall()}


def command(*arguments: str) -> str:
    output = StringIO()
    call_command(*arguments, stdout=output, stderr=StringIO())
    return output.getvalue()


@pytest.fixture
def until_today(transactional_db: None) -> None:
    """The test database may have been made yesterday, a minute ago."""
    list(partitions.create_missing())


@pytest.fixture
def made_today(db: None) -> None:
    """What the migrations left to make is to be seen only as long as no new day, in UTC, has begun."""
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT min(applied) FROM django_migrations")
        (made_at,) = cursor.fetchone()
    if made_at.astimezone(UTC).date() != datetime.now(UTC).date():
        pytest.skip("the test database was made yesterday")


def drop_the_last_day() -> str:
    """As if it had not been made yet."""
    last = timezone.now().astimezone(UTC) + timedelta(days=7)
    name = f"agent_run_logs_p{last:%Y%m%d}"
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP TABLE {name}")
    return name


@pytest.mark.django_db(databases=["default", "owner"])
def test_migrations_left_nothing_to_make(made_today):
    assert partitions.missing() == []
    assert json.loads(command("partitions", "--json")) == {
        "made": [],
        "planned": [],
        "indexes_built": [],
        "indexes_planned": [],
        "unexpected_rows": {},
        "in_use": [],
        "is_busy": False,
    }


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_the_command_makes_what_is_missing_and_the_second_time_nothing(until_today):
    name = drop_the_last_day()
    day = datetime.strptime(name[-8:], "%Y%m%d").replace(tzinfo=UTC)
    planned = json.loads(command("partitions", "--json", "--dry-run"))
    assert planned["planned"] == [f"agent_run_logs {day:%Y-%m-%d}"]
    assert name not in names("agent_run_logs")
    assert command("partitions") == f"made    agent_run_logs from {day:%Y-%m-%d}\n1 partitions made.\n"
    assert name in names("agent_run_logs")
    assert command("partitions") == "0 partitions made.\n"
    with connection.cursor() as cursor:
        assert unprotected(cursor) == []


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_the_task_makes_what_is_missing(until_today):
    name = drop_the_last_day()
    assert tasks.keep_partitions() == [f"agent_run_logs {name[-8:-4]}-{name[-4:-2]}-{name[-2:]}"]
    assert name in names("agent_run_logs")


def test_beat_knows_the_tasks():
    app.loader.import_default_modules()
    scheduled = {entry["task"] for entry in app.conf.beat_schedule.values()}
    assert {"paid.tasks.keep_partitions", "paid.tasks.apply_retention"} <= scheduled
    assert scheduled <= set(app.tasks)


@pytest.mark.django_db
def test_rows_that_nobody_expected_raise_the_alarm_and_move_when_their_partition_is_made():
    run = AgentRunFactory(created_at=LONG_AGO)
    AgentRunLogFactory(run=run, content="found again")
    assert partitions.unexpected() == [Unexpected("agent_run_logs", 1)]
    with pytest.raises(SystemExit) as exit_code:
        command("partitions", "--json", "--dry-run")
    assert exit_code.value.code == 3
    assert partitions.create(A_DAY) is True
    assert partitions.create(A_DAY) is False
    assert partitions.unexpected() == []
    with tenant(run.account_id):
        assert AgentRunLog.objects.get().content == "found again"
    with connection.cursor() as cursor:
        assert unprotected(cursor) == []


@pytest.mark.django_db
def test_the_command_moves_rows_of_past_days_into_partitions_of_their_own_and_the_alarm_ends():
    yesterday = timezone.now().astimezone(UTC) - timedelta(days=1)
    AgentRunLogFactory(run=AgentRunFactory(created_at=yesterday))
    AgentRunLogFactory(run=AgentRunFactory(created_at=LONG_AGO))
    days = [f"agent_run_logs {day:%Y-%m-%d}" for day in (LONG_AGO, yesterday)]
    with pytest.raises(SystemExit) as exit_code:
        command("partitions", "--json", "--dry-run")
    assert exit_code.value.code == 3

    report = json.loads(command("partitions", "--json"))
    assert (report["made"], report["unexpected_rows"]) == (days, {})
    with platform():
        assert AgentRunLog.objects.count() == 2
    # Retention finds them where it looks: the default partition is never dropped.
    assert json.loads(command("retention", "--json"))["dropped"] == ["agent_run_logs_p20240229"]
    with platform():
        assert AgentRunLog.objects.get().run_created_at == yesterday


@pytest.mark.django_db
def test_a_night_makes_so_many_partitions_of_the_past_and_the_next_one_goes_on(monkeypatch):
    monkeypatch.setattr(partitions, "STRAY_PERIODS", 2)
    for day in (1, 2, 3):
        AgentRunLogFactory(run=AgentRunFactory(created_at=LONG_AGO + timedelta(days=day)))
    with capture_logs() as logs:
        assert tasks.keep_partitions() == ["agent_run_logs 2024-03-01", "agent_run_logs 2024-03-02"]
        assert tasks.keep_partitions() == ["agent_run_logs 2024-03-03"]
        assert tasks.keep_partitions() == []
    alarms = [(log["rows"], log["left"]) for log in logs if log["event"] == "default_partition_holds_rows"]
    assert alarms == [(3, 1), (1, 0)]


@pytest.mark.django_db
@pytest.mark.parametrize("parent", ["agent_runs", "agent_run_logs"])
def test_a_tenant_is_not_told_of_the_default_partitions(parent):
    with pytest.raises(DatabaseError, match="permission denied for function"), tenant(1), connection.cursor() as cursor:
        cursor.execute("SELECT default_partition_periods(%s, 1)", [parent])


@pytest.mark.django_db
def test_a_ledger_row_that_moves_is_not_booked_again():
    run = AgentRunFactory(created_at=LONG_AGO)
    usage = TokenUsageFactory(run=run)
    assert partitions.create(A_MONTH) is True
    with platform():
        assert TokenUsage.objects.get().request_id == usage.request_id
        assert UsageDaily.objects.get().cost_usd == usage.cost_usd
    with pytest.raises(DatabaseError, match="permission denied"), platform():
        TokenUsage.objects.all().delete()


@pytest.mark.django_db
def test_retention_drops_old_days_of_the_log_and_keeps_the_rest():
    partitions.create(A_DAY)
    partitions.create(Missing("audit_events", datetime(2020, 1, 1, tzinfo=UTC)))
    AgentRunLogFactory(run=AgentRunFactory(created_at=LONG_AGO))
    kept = AgentRunLogFactory()
    planned = json.loads(command("retention", "--json", "--dry-run"))
    planned.pop("rows")
    assert planned == {"dropped": [], "planned": ["agent_run_logs_p20240229"], "in_use": [], "is_busy": False}
    with platform():
        assert AgentRunLog.objects.count() == 2
    assert json.loads(command("retention", "--json"))["dropped"] == ["agent_run_logs_p20240229"]
    assert json.loads(command("retention", "--json"))["dropped"] == []
    with platform():
        assert AgentRunLog.objects.get().seq == kept.seq
    assert "audit_events_p202001" in names("audit_events")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("parent", "name"),
    [
        ("agent_run_logs", f"agent_run_logs_p{datetime.now(UTC):%Y%m%d}"),
        ("agent_run_logs", "agent_run_logs_default"),
        ("agent_run_logs", "agent_runs"),
        ("audit_events", f"audit_events_p{datetime.now(UTC):%Y%m}"),
        ("agent_runs", "agent_runs"),
    ],
)
def test_the_database_refuses_to_drop_what_is_kept(parent, name):
    with pytest.raises(DatabaseError, match="may be dropped"):
        partitions.drop(Expired(parent, name, LONG_AGO, 0, 0))


@pytest.mark.django_db
def test_only_registered_tables_get_partitions():
    with pytest.raises(DatabaseError, match="is not a partitioned table of ours"):
        partitions.create(Missing("agent_runs", LONG_AGO))


@pytest.mark.django_db
@pytest.mark.parametrize(
    "call", ["create_partitions('agent_run_logs', now(), now())", "drop_partition('agent_run_logs', 'x')"]
)
def test_a_tenant_makes_and_drops_nothing(call):
    with pytest.raises(DatabaseError, match="permission denied for function"), tenant(1), connection.cursor() as cursor:
        cursor.execute(f"SELECT {call}")


@pytest.mark.django_db(transaction=True)
def test_a_second_process_stands_back():
    with owner_connection() as other:
        other.execute("SELECT pg_advisory_lock(%s)", [partitions.ADVISORY_LOCK])
        assert json.loads(command("partitions", "--json"))["is_busy"] is True
        assert json.loads(command("retention", "--json"))["is_busy"] is True
        assert tasks.keep_partitions() == []


@pytest.mark.django_db(transaction=True)
def test_it_tries_again_behind_a_long_transaction():
    with owner_connection() as other:
        other.execute("LOCK TABLE agent_run_logs IN ACCESS SHARE MODE")
        waits: list[float] = []

        def let_go(seconds: float) -> None:
            waits.append(seconds)
            other.rollback()

        assert other.info.transaction_status == psycopg.pq.TransactionStatus.INTRANS
        old = Missing("agent_run_logs", datetime(2024, 3, 1, tzinfo=UTC))
        assert partitions.create(old, pause=let_go) is True
        other.execute("LOCK TABLE agent_run_logs IN ACCESS SHARE MODE")
        partitions.drop(Expired("agent_run_logs", "agent_run_logs_p20240301", LONG_AGO, 0, 0), pause=let_go)
    assert waits == [1.0, 1.0]
    assert "agent_run_logs_p20240301" not in names("agent_run_logs")


@pytest.mark.django_db(transaction=True)
def test_it_leaves_a_partition_that_long_transactions_hold_and_says_so():
    old = Missing("agent_run_logs", datetime(2024, 3, 2, tzinfo=UTC))
    partitions.create(old)
    waits: list[float] = []
    with owner_connection() as other:
        other.execute("LOCK TABLE agent_run_logs IN ACCESS SHARE MODE")
        with pytest.raises(partitions.PartitionInUse, match="agent_run_logs: Long transactions hold the table"):
            partitions.drop(Expired("agent_run_logs", "agent_run_logs_p20240302", LONG_AGO, 0, 0), pause=waits.append)
    assert waits == [1.0, 2.0, 4.0, 8.0, 10.0, 10.0, 10.0]
    assert "agent_run_logs_p20240302" in names("agent_run_logs")
    partitions.drop(Expired("agent_run_logs", "agent_run_logs_p20240302", LONG_AGO, 0, 0))


@pytest.fixture
def busy_log(until_today) -> Iterator[None]:
    """Somebody's long transaction holds the log; an old partition of it and one of the ledger could go."""
    for one in (A_DAY, A_MONTH):
        partitions.create(one)
    with owner_connection() as other:
        other.execute("LOCK TABLE ONLY agent_run_logs IN SHARE UPDATE EXCLUSIVE MODE")
        yield
    list(partitions.drop_expired())


@pytest.mark.django_db(transaction=True)
def test_one_busy_partition_does_not_keep_the_others_and_the_rows(busy_log, monkeypatch):
    monkeypatch.setattr(partitions, "ATTEMPTS", 1)
    OutboxCommandFactory(delivered_at=LONG_AGO)
    output = StringIO()
    with pytest.raises(CommandError, match="agent_run_logs_p20240229: Long transactions hold the table") as failure:
        call_command("retention", "--json", stdout=output)
    assert failure.value.returncode == 1
    report = json.loads(output.getvalue())
    assert report["dropped"] == ["token_usages_p202402"]
    assert report["in_use"] == ["agent_run_logs_p20240229"]
    assert report["rows"]["outbox"] == 1
    assert "token_usages_p202402" not in names("token_usages")
    assert "agent_run_logs_p20240229" in names("agent_run_logs")


@pytest.mark.django_db(transaction=True)
def test_the_nightly_task_goes_on_past_a_busy_partition_and_fails_at_its_end(busy_log, monkeypatch):
    monkeypatch.setattr(partitions, "ATTEMPTS", 1)
    OutboxCommandFactory(delivered_at=LONG_AGO)
    with pytest.raises(partitions.PartitionInUse, match="agent_run_logs_p20240229"):
        tasks.apply_retention()
    assert "token_usages_p202402" not in names("token_usages")
    with platform():
        assert OutboxCommand.objects.count() == 0


@pytest.mark.django_db(transaction=True)
def test_the_first_busy_partition_is_waited_for_and_those_of_its_table_after_it_are_tried_once(busy_log):
    partitions.create(Missing("audit_events", datetime(2020, 1, 1, tzinfo=UTC)))
    AgentRunLogFactory(run=AgentRunFactory(created_at=LONG_AGO + timedelta(days=1)))
    AgentRunLogFactory(run=AgentRunFactory(created_at=LONG_AGO + timedelta(days=2)))
    waits: list[float] = []
    with pytest.raises(
        partitions.PartitionInUse, match="agent_run_logs from 2024-03-01, agent_run_logs from 2024-03-02"
    ):
        list(partitions.create_missing(pause=waits.append))
    assert len(waits) == partitions.ATTEMPTS - 1


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_a_busy_table_keeps_neither_the_partitions_of_others_nor_the_alarm(until_today, monkeypatch):
    monkeypatch.setattr(partitions, "ATTEMPTS", 1)
    month = drop_the_last_month_of_the_audit_log()
    AgentRunLogFactory(run=AgentRunFactory(created_at=LONG_AGO))
    with owner_connection() as other:
        other.execute("LOCK TABLE ONLY agent_run_logs IN SHARE UPDATE EXCLUSIVE MODE")
        with capture_logs() as logs, pytest.raises(partitions.PartitionInUse, match="agent_run_logs from 2024-02-29"):
            tasks.keep_partitions()
        assert [log["table"] for log in logs if log["event"] == "default_partition_holds_rows"] == ["agent_run_logs"]
        assert month in names("audit_events")

        drop_the_last_month_of_the_audit_log()
        output, errors = StringIO(), StringIO()
        with pytest.raises(CommandError, match="agent_run_logs from 2024-02-29") as failure:
            call_command("partitions", "--json", stdout=output, stderr=errors)
    assert failure.value.returncode == 1
    report = json.loads(output.getvalue())
    assert (len(report["made"]), report["in_use"]) == (1, ["agent_run_logs from 2024-02-29"])
    assert report["unexpected_rows"] == {"agent_run_logs": 1}
    assert "ALARM agent_run_logs: 1 rows" in errors.getvalue()
    assert month in names("audit_events")


def drop_the_last_month_of_the_audit_log() -> str:
    name = max(name for name in names("audit_events") if not name.endswith("_default"))
    with connections["owner"].cursor() as cursor:
        cursor.execute(f"DROP TABLE {name}")
    return name


@pytest.mark.django_db
def test_what_was_detached_before_a_crash_is_dropped_by_the_next_run():
    partitions.create(A_DAY)
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT detach_partition('agent_run_logs', 'agent_run_logs_p20240229')")
    assert [(one.name, one.is_detached) for one in partitions.expired()] == [("agent_run_logs_p20240229", True)]
    with connection.cursor() as cursor:
        assert unprotected(cursor) == []
    assert json.loads(command("retention", "--json"))["dropped"] == ["agent_run_logs_p20240229"]
    assert partitions.expired() == []


@pytest.mark.django_db
def test_only_what_was_detached_is_dropped():
    with pytest.raises(DatabaseError, match="is not a detached partition"), platform(), connection.cursor() as cursor:
        cursor.execute("SELECT drop_partition('agent_run_logs', 'agent_runs')")


@pytest.fixture
def index_of_closed_days(transactional_db):
    """The log's closed days are to have an index; one day is closed."""
    partitions.create(A_DAY)
    with connections["owner"].cursor() as cursor:
        cursor.execute("INSERT INTO partition_indexes VALUES ('agent_run_logs', 'trial', 'USING brin (created_at)')")
    yield "agent_run_logs_p20240229_trial"
    with connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM partition_indexes WHERE suffix = 'trial'")
        cursor.execute("DROP TABLE agent_run_logs_p20240229")


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_closed_partitions_get_their_indexes_and_the_open_ones_do_not(index_of_closed_days):
    def planned() -> list[str]:
        names: list[str] = json.loads(command("partitions", "--json", "--dry-run"))["indexes_planned"]
        return [name for name in names if name.endswith("_trial")]

    assert planned() == [index_of_closed_days]
    assert index_of_closed_days in json.loads(command("partitions", "--json"))["indexes_built"]
    assert planned() == []
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT indexname FROM pg_indexes WHERE indexname LIKE 'agent_run_logs%%_trial'")
        assert cursor.fetchall() == [(index_of_closed_days,)]


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
def test_an_index_whose_build_broke_off_is_built_again(until_today, index_of_closed_days):
    with owner_connection() as owner:
        owner.autocommit = True
        owner.execute("CREATE TABLE holds (id integer)")
        # A unique index over equal values breaks off and leaves its ruin.
        owner.execute("INSERT INTO holds VALUES (1), (1)")
        with pytest.raises(psycopg.errors.UniqueViolation):
            owner.execute(f"CREATE UNIQUE INDEX CONCURRENTLY {index_of_closed_days} ON holds (id)")
    assert [(one.name, one.is_broken) for one in partitions.unbuilt_indexes()] == [(index_of_closed_days, True)]
    assert tasks.keep_partitions() == [index_of_closed_days]
    assert partitions.unbuilt_indexes() == []
    with owner_connection() as owner:
        owner.execute("DROP TABLE holds")
