"""An account is erased whole, and nobody else loses a row."""

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections, transaction

from accounts.models import Account, AuditEvent
from agent_runs.models import AgentRun, RunStatus
from paid import erasure
from paid.lib.tenancy import platform
from tests.dashboard.world import World, make_world
from tests.factories.metrics import TokenUsageFactory
from tests.migrations.test_factories import FACTORIES

pytestmark = pytest.mark.django_db(databases=["default", "owner"], transaction=True)


@pytest.fixture
def world(transactional_db: None) -> Iterator[World]:
    """An account with everything in it and no live run, among others that have a row of every kind."""
    made = make_world()
    with platform():
        AgentRun.objects.filter(pk=made.live_run.pk).update(status=RunStatus.STOPPED, finished_at=made.run.finished_at)
    for factory in FACTORIES.values():
        factory()
    yield made
    connections["owner"].close()


def erase(*options: str) -> dict[str, object]:
    output = StringIO()
    call_command("erase_account", "northwind", "--json", *options, stdout=output)
    report: dict[str, object] = json.loads(output.getvalue())
    return report


def others(account_id: int) -> dict[str, int]:
    """Rows of everybody else, by table."""
    with connections["owner"].cursor() as cursor:
        counts = {}
        for table in erasure.count_rows(account_id):
            cursor.execute(f'SELECT count(*) FROM "{table}" WHERE account_id <> %s', [account_id])  # noqa: S608 - names of tables
            counts[table] = cursor.fetchone()[0]
        return counts


def test_a_dry_run_counts_and_deletes_nothing(world: World):
    report = erase("--dry-run")
    assert report["is_erased"] is False
    rows = report["rows"]
    assert isinstance(rows, dict)
    assert {name: rows[name] for name in ("agent_runs", "agent_run_logs", "token_usages", "memberships")} == {
        "agent_runs": 3,
        "agent_run_logs": 9,
        "token_usages": 2,
        "memberships": 3,
    }
    assert erase("--dry-run") == report


def test_every_row_of_the_account_goes_and_nobody_elses(world: World, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(erasure, "BATCH", 4)
    before, neighbours = erasure.count_rows(world.account.pk), others(world.account.pk)
    assert sum(before.values()) > 40
    report = erase("--confirm", "northwind")

    assert report["is_erased"] is True
    assert report["rows"] == {table: rows for table, rows in before.items() if rows}
    assert set(erasure.count_rows(world.account.pk).values()) == {0}
    after = others(world.account.pk)
    assert after.pop("audit_events") == neighbours.pop("audit_events") + 1
    assert after == neighbours
    with platform():
        assert not Account.objects.filter(slug="northwind").exists()
        event = AuditEvent.objects.get(action="account.erased")
    assert (event.account_id, event.object_id, event.data["slug"]) == (0, str(world.account.pk), "northwind")
    with pytest.raises(CommandError, match="There is no account northwind"):
        erase("--confirm", "northwind")


@pytest.mark.parametrize("options", [(), ("--confirm", "elsewhere")])
def test_nothing_is_erased_without_the_slug_said_twice(world: World, options: tuple[str, ...]):
    before = erasure.count_rows(world.account.pk)
    with pytest.raises(CommandError, match="then add --confirm northwind"):
        erase(*options)
    assert erasure.count_rows(world.account.pk) == before


def test_an_account_with_a_live_run_is_not_erased(world: World):
    with platform():
        AgentRun.objects.filter(pk=world.run.pk).update(cost_usd=0)
    make_live(world)
    with pytest.raises(CommandError, match="1 runs of northwind are live"):
        erase("--confirm", "northwind")


def make_live(world: World) -> None:
    FACTORIES[AgentRun](account=world.account, project=world.project, issue=world.issue, status=RunStatus.QUEUED)


def test_the_global_account_stays():
    with pytest.raises(erasure.ErasureError, match="it stays"):
        erasure.plan("global")


def test_the_setting_opens_the_ledger_to_its_owner_alone_and_for_one_account(world: World):
    stranger = TokenUsageFactory()
    with pytest.raises(DatabaseError, match="is refused"), transaction.atomic(using="owner"):
        delete_usages("owner", of=stranger.account_id, erased=world.account.pk)
    with pytest.raises(DatabaseError, match="permission denied"), platform():
        delete_usages("default", of=world.account.pk, erased=world.account.pk)


def delete_usages(alias: str, *, of: int, erased: int) -> None:
    with connections[alias].cursor() as cursor:
        cursor.execute("SELECT set_config('paid.erased_account', %s, true)", [str(erased)])
        cursor.execute("DELETE FROM token_usages WHERE account_id = %s", [of])
