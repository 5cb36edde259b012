"""Behind PgBouncer in transaction mode, where two transactions of one client may meet two servers' connections."""

import asyncio
import hashlib
import json
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from decimal import Decimal
from io import StringIO
from pathlib import Path
from uuid import uuid4

import psycopg
import pytest
from django.core.management import call_command
from django.db import connection, connections
from django.db.models import Sum
from django.test import Client

from agent_runs.logs import write_lines
from agent_runs.models import AgentRunLog
from metrics.gateway.anthropic import MessagesRequest, Tokens
from metrics.gateway.ledger import Ledger, Settlement
from metrics.models import TokenUsage, UsageDaily
from metrics.operations import open_escrow
from paid.lib import partitions, replicas
from paid.lib.tenancy import platform, tenant
from paid.stack import embedded
from projects.models import Project
from tests.agent_runs.processes import wait_until
from tests.agent_runs.test_logs import line
from tests.dashboard.conftest import signed_in_as
from tests.dashboard.world import make_world
from tests.database import owner_connection
from tests.factories.agent_runs import AgentRunFactory
from tests.factories.projects import ProjectFactory
from tests.metrics.records import make_run, make_tenant
from tests.metrics.test_ledger import settled_run

PGBOUNCER = shutil.which("pgbouncer", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
pytestmark = [
    pytest.mark.django_db(databases=["default", "pooled"], transaction=True),
    pytest.mark.skipif(PGBOUNCER is None, reason="PgBouncer is not here (Debian: apt-get install pgbouncer)"),
]
# One connection to the server for everybody: whatever a transaction leaves behind, the next one meets.
CONFIGURATION = """
[databases]
* = host={host} port={port}
[pgbouncer]
listen_addr = 127.0.0.1
listen_port = {listen_port}
unix_socket_dir =
auth_type = scram-sha-256
auth_file = {directory}/users.txt
pool_mode = transaction
default_pool_size = {pool_size}
max_client_conn = 50
"""
POOL_SIZE = 2


@pytest.fixture(scope="module", autouse=True)
def pooler(django_db_setup: None) -> Iterator[int]:
    """Known under its alias before Django asks which databases a test may use. Gives its port."""
    server = connections["default"].settings_dict
    directory = Path(tempfile.mkdtemp(prefix="paid-pgbouncer-"))
    port = embedded.free_port()
    (directory / "users.txt").write_text(f'"{server["USER"]}" "{server["PASSWORD"]}"\n')
    (directory / "pgbouncer.ini").write_text(
        CONFIGURATION.format(
            host=server["HOST"], port=server["PORT"], listen_port=port, directory=directory, pool_size=POOL_SIZE
        )
    )
    account = embedded.Account.for_postgresql()
    identity = {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}
    for path in (directory, *directory.iterdir()):
        os.chown(path, account.uid if account else -1, account.gid if account else -1)
    process = subprocess.Popen(
        [str(PGBOUNCER), "-q", str(directory / "pgbouncer.ini")],
        stderr=subprocess.DEVNULL,
        **identity,  # type: ignore[call-overload]
    )
    wait_until(lambda: embedded.answers(port) or process.poll() is not None)
    assert process.poll() is None, "PgBouncer ended at once"
    connections.settings["pooled"] = server | {
        "HOST": "127.0.0.1",
        "PORT": port,
        "OPTIONS": {"pool": {"min_size": 1, "max_size": 4, "timeout": 60}},
        "DISABLE_SERVER_SIDE_CURSORS": True,
    }
    yield port
    pooled = connections["pooled"]
    pooled.close()
    pooled.close_pool()  # type: ignore[attr-defined]
    del connections["pooled"]
    del connections.settings["pooled"]
    # Asked to end in order, newer ones wait for every client.
    process.kill()
    process.wait(60)
    shutil.rmtree(directory)


@pytest.fixture(autouse=True)
def through_the_pooler(pooler: int, transactional_db: None) -> Iterator[None]:
    with replicas.reading_from("pooled"):
        yield
        connection.close()


def test_the_connection_is_the_poolers(pooler: int):
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_user::text, current_user::text, current_setting('application_name')")
        assert cursor.fetchone()[:2] == ("paid_app", "paid_tenant")
    assert connection.settings_dict["PORT"] == pooler


def test_no_transaction_meets_the_tenant_of_the_one_before():
    project = ProjectFactory()
    for _ in range(10):
        with tenant(project.account_id):
            assert Project.objects.count() == 1
        assert Project.objects.count() == 0
        with platform():
            assert Project.objects.count() == 1
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user::text, current_account()")
            assert cursor.fetchone() == ("paid_tenant", None)


def test_clients_share_the_servers_connections_without_sharing_their_tenants(pooler: int):
    project = ProjectFactory()
    seen = set()
    addresses = [
        psycopg.conninfo.make_conninfo(
            host="127.0.0.1",
            port=pooler,
            user=connection.settings_dict["USER"],
            password=connection.settings_dict["PASSWORD"],
            dbname=connection.settings_dict["NAME"],
        )
    ] * 6
    clients = [psycopg.connect(address, autocommit=True, prepare_threshold=None) for address in addresses]
    for number, client in enumerate(clients * 3):
        with client.transaction():
            account = project.account_id if number % 2 else 0
            client.execute("SELECT set_config('paid.account_id', %s, true)", [str(account)])
            row = client.execute("SELECT pg_backend_pid(), (SELECT count(*) FROM projects)").fetchone()
            assert row is not None
            seen.add(row[0])
            assert row[1] == number % 2
    for client in clients:
        client.close()
    assert len(seen) <= POOL_SIZE


def test_the_ledger_books_through_it():
    run = settled_run(make_tenant(), calls=3)
    with platform():
        usages = TokenUsage.objects.filter(agent_run_id=run.pk)
        cost = usages.aggregate(sum=Sum("cost_usd"))["sum"]
        assert usages.count() == 3
        assert cost > Decimal(0)
        assert UsageDaily.objects.aggregate(sum=Sum("cost_usd"))["sum"] == cost


def test_the_gateway_asks_through_it_as_the_platform_and_leaves_no_role_behind(settings):
    settings.DATABASE_TRANSACTION_POOLER = True
    run = make_run(make_tenant(), token="t")
    open_escrow(run=run)
    asyncio.run(_one_call(Ledger("test", pool_size=2)))
    with platform():
        assert TokenUsage.objects.get().agent_run_id == run.pk
    with connection.cursor() as cursor:
        for _ in range(2 * POOL_SIZE):
            cursor.execute("SELECT current_user::text, (SELECT count(*) FROM pg_prepared_statements)")
            assert cursor.fetchone() == ("paid_tenant", 0)


async def _one_call(ledger: Ledger) -> None:
    await ledger.open()
    try:
        admission = await ledger.admit(hashlib.sha256(b"t").digest(), "scripted-demo")
        assert admission is not None
        request_id = uuid4()
        hold = await ledger.open_call(request_id, admission, MessagesRequest(b"x" * 400, "scripted-demo", 100))
        assert hold.refusal == ""
        tokens = Tokens(10, 20, 30, 40)
        await ledger.settle(Settlement(request_id, admission.run_created_at, tokens, "msg", is_estimated=False))
    finally:
        await ledger.close()


def test_log_lines_are_copied_through_it():
    run = AgentRunFactory()
    write_lines(run, [line(number, f"line {number}") for number in range(1, 501)])
    with tenant(run.account_id):
        contents = AgentRunLog.objects.filter(agent_run_id=run.pk).order_by("seq").values_list("content", flat=True)
        # Outside of a pooler's transaction this would be a cursor of the server's.
        assert list(contents.iterator(chunk_size=100)) == [f"line {number}" for number in range(1, 501)]


def test_a_cursor_outside_of_a_transaction_leaves_nothing_on_the_server():
    ProjectFactory.create_batch(3)
    assert list(Project.objects.iterator(chunk_size=1)) == []


def test_the_lock_of_maintenance_ends_with_its_transaction():
    output = StringIO()
    with partitions.alone() as is_alone:
        assert is_alone
        with partitions.alone() as is_second_alone:
            assert not is_second_alone
    call_command("partitions", "--json", stdout=output)
    assert json.loads(output.getvalue())["is_busy"] is False
    with owner_connection() as owner:
        row = owner.execute(
            "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory' AND objid = %s"
            " AND database = (SELECT oid FROM pg_database WHERE datname = current_database())",
            [partitions.ADVISORY_LOCK],
        ).fetchone()
    assert row == (0,)


def test_nothing_is_prepared_on_a_connection_that_somebody_else_gets_next():
    for _ in range(12):
        with tenant(1):
            assert Project.objects.filter(pk=1).count() == 0
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_prepared_statements")
        assert cursor.fetchone() == (0,)


def test_a_page_is_served_through_it():
    world = make_world()
    client: Client = signed_in_as(world.bob)
    assert "slugify" in client.get("/a/northwind/projects/").content.decode()
