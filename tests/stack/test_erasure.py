"""An account is erased whole, and nobody else loses a row."""

import json
from collections.abc import Iterator
from io import StringIO

import pytest
from django.core.management import CommandError, call_command
from django.db import DatabaseError, connections, transaction

from accounts.models import Account, AuditEvent
from agent_runs.models import AgentRun, RunStatus
from metrics.reconciliation import reconcile_usage
from paid import erasure
from paid.lib.tenancy import platform
from tests.dashboard.world import World, make_world
from tests.factories.accounts import AccountFactory
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
    assert after.pop("audit_events") == neighbours.pop("audit_events") + 2
    assert after == neighbours
    with platform():
        assert not Account.objects.filter(slug="northwind").exists()
    assert recorded(world) == [
        ("account.erasure_began", {"slug": "northwind", "rows": report["rows"]}),
        ("account.erased", {"slug": "northwind", "rows": report["rows"]}),
    ]


def recorded(world: World) -> list[tuple[str, dict[str, object]]]:
    """What the log of account 0 says of it."""
    with platform():
        events = AuditEvent.objects.filter(account_id=0, object_type="account", object_id=str(world.account.pk))
        return list(events.order_by("pk").values_list("action", "data"))


def test_a_second_time_says_that_nothing_is_left_and_records_nothing(world: World):
    erase("--confirm", "northwind")
    before = recorded(world)
    assert erase("--confirm", "northwind") == {
        "account_id": world.account.pk,
        "rows": {},
        "is_erased": True,
        "users_without_account": erasure.users_without_account(),
    }
    assert recorded(world) == before


def test_rows_written_while_the_account_went_are_found_and_erased_afterwards(world: World):
    erase("--confirm", "northwind")
    write_late(world)
    assert erase("--dry-run")["rows"] == {"audit_events": 1}
    with pytest.raises(CommandError, match=r"northwind is gone.*then add --confirm northwind"):
        erase()
    assert erase("--confirm", "northwind")["rows"] == {"audit_events": 1}
    assert set(erasure.count_rows(world.account.pk).values()) == {0}
    assert recorded(world)[-1] == ("account.erased", {"slug": "northwind", "rows": {"audit_events": 1}})


def write_late(world: World) -> None:
    """A row that refers to no account by a key, of a transaction that ended after the account's."""
    with platform():
        AuditEvent.objects.create(
            account_id=world.account.pk, actor="late", action="run.started", object_type="agent_run", object_id="1"
        )


def test_a_new_account_of_the_same_name_is_not_taken_for_the_erased_one(world: World):
    erase("--confirm", "northwind")
    write_late(world)
    with platform():
        successor = AccountFactory(slug="northwind")
    report = erase("--confirm", "northwind", "--id", str(world.account.pk))
    assert (report["account_id"], report["rows"]) == (world.account.pk, {"audit_events": 1})
    with platform():
        assert Account.objects.get(slug="northwind").pk == successor.pk
    nobodys = str(2**40)
    with pytest.raises(CommandError, match=f"No account northwind has or had the id {nobodys}"):
        erase("--confirm", "northwind", "--id", nobodys)


def test_what_broke_off_half_way_is_resumed_and_both_halves_are_recorded(world: World, monkeypatch: pytest.MonkeyPatch):
    before = erasure.count_rows(world.account.pk)
    with monkeypatch.context() as broken:
        broken.setattr(erasure, "_empty", lambda *_: pytest.fail("the machine stops here"))
        with pytest.raises(pytest.fail.Exception):
            erase("--confirm", "northwind")
    half = erasure.count_rows(world.account.pk)
    assert (half["agent_runs"], half["token_usages"]) == (0, 2)
    # Its rows are in no proof any more: a repair would make its sums anew.
    assert world.account.pk not in {day.account_id for day in reconcile_usage(is_dry_run=False).days}
    assert erasure.count_rows(world.account.pk) == half

    assert erase("--confirm", "northwind")["rows"] == present(half)
    assert set(erasure.count_rows(world.account.pk).values()) == {0}
    assert recorded(world) == [
        ("account.erasure_began", {"slug": "northwind", "rows": present(before)}),
        ("account.erased", {"slug": "northwind", "rows": present(half)}),
    ]


def present(rows: dict[str, int]) -> dict[str, int]:
    return {table: count for table, count in rows.items() if count}


def test_a_run_that_starts_after_the_look_stops_the_erasure(world: World):
    plan = erasure.plan("northwind")
    make_live(world)
    before = erasure.count_rows(world.account.pk)
    with pytest.raises(erasure.ErasureError, match="1 runs of northwind are live"):
        erasure.erase(plan, actor="us", say=lambda _: None)
    assert erasure.count_rows(world.account.pk) == before


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
