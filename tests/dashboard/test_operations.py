"""The page of operations is for the host's staff, `/metrics` for who has the token, `/healthz` for everybody."""

import asyncio
import json
import os
import uuid
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from http import HTTPStatus
from io import StringIO

import pytest
import redis
from asgiref.sync import sync_to_async
from django.conf import settings as django_settings
from django.core.management import call_command
from django.db import DatabaseError, connection, connections
from django.test import AsyncClient, Client
from django.utils import timezone

from accounts.models import User
from agent_runs.models import AgentRun
from dashboard.views import health
from metrics.models import UsageDaily
from metrics.tasks import prove_ledger
from paid.lib import pulse
from paid.lib.statistics import slowest_statements
from paid.lib.tenancy import platform, tenant
from tests.agent_runs.processes import wait_until
from tests.dashboard.conftest import signed_in_as
from tests.dashboard.world import World
from tests.factories.accounts import UserFactory
from tests.factories.agent_runs import AgentRunFactory, AgentRunLogFactory
from tests.factories.metrics import TokenUsageFactory
from tests.factories.workflows import OutboxCommandFactory

REDIS_URL = django_settings.REDIS_URL

PAGE = "/operations/"


@pytest.fixture
def closed_ports(settings) -> None:
    """Nothing listens for Temporal here: its part of the page fails at once."""
    settings.TEMPORAL_ADDRESS = "127.0.0.1:1"


@pytest.fixture
def staff(db: None, closed_ports: None) -> Client:
    return signed_in_as(UserFactory(is_staff=True))


def beat_of(program: str) -> str:
    """One beat of this process under a name of its own; gives the name."""
    name = f"{program}-{uuid.uuid4().hex[:8]}"
    counts = {"pool_size": 3, "pool_max": 16, "requests_num": 120, "requests_queued": 4, "requests_wait_ms": 50}
    with redis.Redis.from_url(REDIS_URL) as client:
        pulse.Pulse(name, lambda: counts).beat(client)
    return name


def test_a_stranger_is_sent_to_the_sign_in(client: Client, db: None):
    assert client.get(PAGE)["Location"] == f"/sign-in/?next={PAGE}"


def test_there_is_no_such_page_for_an_owner_of_an_account(world: World, alice: Client):
    for method in ("get", "post", "head", "put", "delete"):
        assert getattr(alice, method)(PAGE).status_code == HTTPStatus.NOT_FOUND
    assert PAGE not in alice.get("/a/northwind/").content.decode()


def test_nothing_is_written_there(staff: Client):
    assert staff.post(PAGE).status_code == HTTPStatus.METHOD_NOT_ALLOWED


def test_staff_see_processes_queues_partitions_and_statements(staff: Client):
    OutboxCommandFactory.create_batch(2, available_at=timezone.now() - timedelta(minutes=3))
    name = beat_of("web")
    answer = staff.get(PAGE)
    page = answer.content.decode()

    assert answer.status_code == HTTPStatus.OK
    assert f"{name}</span>" in page
    assert "3 of 16" in page
    assert "12.5 ms" in page
    assert "token_usages" in page
    assert "does not answer" in page  # Temporal's queues
    assert "No replica" in page
    assert "Slowest statements" in page
    found = answer.context["found"]
    assert (found.queues[0].name, found.queues[0].waiting) == ("outbox", 2)
    assert {table.parent for table in found.tables} >= {"agent_run_logs", "audit_events", "token_usages"}
    assert found.alarms == []


def test_the_refreshed_part_leaves_the_statements_alone(staff: Client):
    page = staff.get(PAGE, headers={"HX-Target": "operations"}).content.decode()

    assert "Partitions" in page
    assert "Slowest statements" not in page
    assert "<html" not in page


def test_rows_in_a_default_partition_are_an_alarm_on_the_page(staff: Client):
    AgentRunLogFactory(run=AgentRunFactory(created_at=datetime(2024, 2, 29, tzinfo=UTC)))

    page = staff.get(PAGE).content.decode()
    assert "1 row in the default partition" in page


def test_sums_that_differ_from_the_ledger_are_an_alarm_on_the_page_until_they_are_mended(staff: Client):
    assert "Not proven yet" in staff.get(PAGE).content.decode()
    run = AgentRunFactory(cost_usd=Decimal("0.006"), input_tokens=1_000, output_tokens=200)
    usage = TokenUsageFactory(run=run)
    assert prove_ledger() == 0
    assert "Equal</span>" in staff.get(PAGE).content.decode()

    with platform():
        UsageDaily.objects.filter(account_id=usage.account_id).update(calls=7)
        AgentRun.objects.filter(pk=usage.agent_run_id).update(cost_usd=9)
    assert prove_ledger() == 2
    page = staff.get(PAGE).content.decode()
    assert "1 of days and 1 of runs" in page
    with platform():
        assert UsageDaily.objects.get(account_id=usage.account_id).calls == 7

    call_command("reconcile_usage", stdout=StringIO())
    page = staff.get(PAGE).content.decode()
    assert "Equal</span>" in page
    assert "Sums differ" not in page


def test_statements_show_texts_without_constants_and_no_command_that_could_hold_a_password(db: None):
    marker = f"m{uuid.uuid4().hex[:12]}"
    with platform(), connection.cursor() as cursor:
        cursor.execute(f"SELECT 'secret' AS {marker}")
        cursor.execute(f"SET LOCAL application_name = '{marker}'")
        cursor.execute(
            "SELECT query FROM slowest_statements('total', 100000) WHERE query LIKE %s AND query !~ 'slowest'",
            [f"%{marker}%"],
        )
        assert cursor.fetchall() == [(f"SELECT $1 AS {marker}",)]
        ordered = slowest_statements("mean", 20)
    assert [one.mean_ms for one in ordered] == sorted((one.mean_ms for one in ordered), reverse=True)


@pytest.mark.django_db
@pytest.mark.parametrize(
    "question", ["SELECT * FROM slowest_statements('total', 5)", "SELECT * FROM replication_states()"]
)
def test_a_tenant_may_not_ask_the_server_about_itself(question: str):
    with pytest.raises(DatabaseError, match="permission denied for function"), tenant(1), connection.cursor() as cursor:
        cursor.execute(question)


def test_without_redis_the_page_says_so(staff: Client, settings):
    settings.REDIS_URL = settings.CELERY_BROKER_URL = "redis://127.0.0.1:1/0"

    assert "Redis does not answer" in staff.get(PAGE).content.decode()


def test_a_process_beats_until_it_is_stopped_and_then_expires():
    name = f"trial-{uuid.uuid4().hex[:8]}"
    beats = pulse.Pulse(name, lambda: {"pool_size": 2}).start()
    key = f"{pulse.PREFIX}{name}:*"
    with redis.Redis.from_url(REDIS_URL) as client:
        wait_until(lambda: any(client.scan_iter(key, count=500)))
        (found,) = client.scan_iter(key, count=500)
        beats.stop()
        assert 0 < int(client.ttl(found)) <= pulse.EXPIRES_SECONDS
        value = json.loads(client.get(found) or "")
    assert (value["program"], value["pid"], value["pool"]["size"]) == (name, os.getpid(), 2)


@pytest.mark.django_db
def test_metrics_are_for_who_has_the_token(client: Client, closed_ports: None, settings):
    assert client.get("/metrics").status_code == HTTPStatus.NOT_FOUND
    settings.METRICS_TOKEN = "a-token-for-prometheus"
    wrong = {"Authorization": "Bearer another"}
    assert client.get("/metrics").status_code == HTTPStatus.NOT_FOUND
    assert client.get("/metrics", headers=wrong).status_code == HTTPStatus.NOT_FOUND
    name = beat_of("worker")

    answer = client.get("/metrics", headers={"Authorization": "Bearer a-token-for-prometheus"})
    text = answer.content.decode()
    assert answer.status_code == HTTPStatus.OK
    assert answer["Cache-Control"] == "no-store"
    assert f'paid_pool_waited_total{{host="{os.uname().nodename}",pid="{os.getpid()}",program="{name}"}} 4.0' in text
    assert 'paid_queue_waiting{queue="outbox"} 0.0' in text
    assert 'paid_default_partition_rows{table="agent_run_logs"} 0.0' in text


@pytest.mark.django_db(transaction=True)
async def test_whoever_asks_for_health_within_a_second_gets_the_same_look(settings, monkeypatch):
    opened: list[asyncio.StreamWriter] = []
    server = await asyncio.start_server(lambda _, writer: opened.append(writer), "127.0.0.1", 0)
    settings.REDIS_URL = f"redis://127.0.0.1:{server.sockets[0].getsockname()[1]}/0"
    settings.TEMPORAL_ADDRESS = "127.0.0.1:1"
    # Redis is silent for so long, and the database answers within it on a slow machine too.
    monkeypatch.setattr(health, "PART_SECONDS", 5.0)
    monkeypatch.setattr(health, "FRESH_SECONDS", 60.0)
    monkeypatch.setattr(health, "_latest", health._Latest())

    answers = await asyncio.gather(*(AsyncClient().get("/healthz") for _ in range(5)))
    async with server:
        assert [answer.status_code for answer in answers] == [HTTPStatus.SERVICE_UNAVAILABLE] * 5
    await sync_to_async(connections.close_all)()
    assert answers[0].json()["checks"]["database"] == "ok"
    assert len(opened) == 1


def test_staff_find_the_page_in_their_menu(world: World):
    with platform():
        User.objects.filter(pk=world.alice.pk).update(is_staff=True)
    assert PAGE in signed_in_as(world.alice).get("/a/northwind/").content.decode()
