"""Settling beside others: two reports of one call, a sweep meanwhile, and what a settlement leaves untouched."""

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from importlib import import_module
from typing import Any
from uuid import UUID, uuid4

import psycopg
import pytest
from django.db import IntegrityError, connection, transaction

from agent_runs.models import AgentRun
from metrics.models import GatewayCall, SpendDaily, TokenUsage, UsageDaily
from metrics.operations import open_escrow, post_spend
from paid.lib.tenancy import platform
from tests.database import owner_connection
from tests.metrics.records import make_run, make_tenant

Connection = psycopg.Connection[tuple[Any, ...]]
OPEN = "SELECT refusal FROM gateway_open_call(%s, %s, %s, 'scripted-demo', 'test', 1000, 500, 100, false)"
SETTLE = "SELECT cost_usd, is_new FROM gateway_settle_call(%s, 'req_1', 100, 20, 300, 40, 0, false, %s)"
LEFT = "SELECT unnest(gateway_left_calls('test', now() + interval '1 hour', now()))"
SWEEP = "SELECT gateway_sweep_call(%s)"
REPORT = "SELECT outcome FROM ledger_report_usage(%s, %s, 'req_2', 'scripted-demo', now(), 10, 10, 0, 0, 0, %s)"
WAITS = "SELECT cardinality(pg_blocking_pids(%s)) > 0"
# What settlements and their posting change, and which indexes hold any of it.
INDEXED = """
SELECT indexrelid::regclass::text FROM pg_index JOIN pg_attribute
  ON attrelid = indrelid AND attnum = ANY (indkey::smallint[])
WHERE (indrelid = 'agent_runs'::regclass AND attname IN (
         'input_tokens', 'output_tokens', 'cache_read_tokens', 'cache_write_tokens', 'cost_usd', 'unpriced_calls',
         'updated_at'))
   OR (indrelid = 'budget_reservations'::regclass AND (attname = 'drawn_usd' OR attname LIKE 'unposted%'))
"""


def opened_call(run: AgentRun) -> UUID:
    request_id = uuid4()
    with platform(), connection.cursor() as cursor:
        cursor.execute(OPEN, [request_id, run.pk, run.language_model_id])
        assert cursor.fetchone() == (None,)
    return request_id


def running_run() -> AgentRun:
    run = make_run(make_tenant())
    open_escrow(run=run)
    return run


@contextmanager
def another_gateway() -> Iterator[Connection]:
    """A connection of its own as the platform, with a transaction that lasts until it is committed."""
    wanted = connection.settings_dict
    with psycopg.connect(
        host=wanted["HOST"],
        port=wanted["PORT"],
        user=wanted["USER"],
        password=wanted["PASSWORD"],
        dbname=wanted["NAME"],
        options="-c role=paid_platform -c lock_timeout=20s",
    ) as other:
        yield other


@pytest.mark.django_db(transaction=True)
def test_of_two_reports_at_once_the_second_finds_the_call_settled(
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    run = running_run()
    call, answers = opened_call(run), []
    with another_gateway() as first, another_gateway() as second, another_gateway() as watcher:
        watcher.autocommit = True
        was_new = first.execute(SETTLE, [call, b"p" * 32]).fetchone()

        def settle() -> None:
            answers.append(second.execute(SETTLE, [call, b"p" * 32]).fetchone())

        late = threading.Thread(target=settle, daemon=True)
        late.start()
        eventually(lambda: watcher.execute(WAITS, [second.info.backend_pid]).fetchone() == (True,))
        first.commit()
        late.join(60)
    assert was_new is not None
    assert (was_new[1], answers) == (True, [(was_new[0], False)])
    post_spend(run=run)
    with platform():
        assert TokenUsage.objects.filter(agent_run_id=run.pk).count() == 1
        assert AgentRun.objects.get(pk=run.pk).cost_usd == was_new[0]


@pytest.mark.django_db(transaction=True)
def test_a_sweep_passes_by_a_call_that_is_being_settled() -> None:
    run = running_run()
    settled, left = opened_call(run), opened_call(run)
    with another_gateway() as gateway, another_gateway() as sweeper:
        gateway.execute("SELECT FROM gateway_calls WHERE request_id = %s FOR UPDATE", [settled])
        calls = [row[0] for row in sweeper.execute(LEFT)]
        swept = {call: sweeper.execute(SWEEP, [call]).fetchone() for call in calls}
        sweeper.commit()
        gateway.execute(SETTLE, [settled, b"p" * 32])
    assert swept == {settled: (False,), left: (True,)}
    with platform():
        booked = TokenUsage.objects.filter(agent_run_id=run.pk)
        assert dict(booked.values_list("request_id", "is_estimated")) == {settled: False, left: True}


@pytest.mark.django_db
def test_calls_of_a_run_are_summed_in_the_runs_slot() -> None:
    run = running_run()
    with platform(), connection.cursor() as cursor:
        cursor.execute(SETTLE, [opened_call(run), b"p" * 32])
        slots = [*UsageDaily.objects.filter(account=run.account_id).values_list("slot", flat=True)]
        slots += SpendDaily.objects.filter(account=run.account_id).values_list("slot", flat=True)
    assert slots == [run.pk % 16] * 3


@pytest.mark.django_db
def test_no_index_holds_what_a_settlement_changes_in_run_and_escrow() -> None:
    with connection.cursor() as cursor:
        cursor.execute(INDEXED)
        assert cursor.fetchall() == []


@pytest.mark.django_db(transaction=True)
def test_posting_and_a_save_of_what_was_read_before_both_say_when_they_changed_the_run() -> None:
    run = running_run()
    with platform():
        stale, call = AgentRun.objects.get(pk=run.pk), opened_call(run)
    with platform(), connection.cursor() as cursor:
        cursor.execute(SETTLE, [call, b"p" * 32])
    post_spend(run=run)
    with platform():
        settled = AgentRun.objects.get(pk=run.pk)
    with platform():
        stale.save(update_fields=["summary", "updated_at"])
    with platform():
        saved = AgentRun.objects.get(pk=run.pk)
    assert stale.updated_at < settled.updated_at < saved.updated_at


@pytest.mark.django_db(transaction=True)
def test_a_settlement_that_waits_for_its_sums_to_be_taken_back_to_the_trigger_is_added_once(
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    call = opened_call(running_run())
    operations = import_module("metrics.migrations.0021_settled_sums").Migration.operations
    # What later migrations have made of the settlement.
    for later in ("0022_posting", "0026_whole_prices"):
        made = import_module(f"metrics.migrations.{later}").Migration.operations
        operations = [*operations, *(each for each in made if "gateway_calls" in getattr(each, "file", ""))]

    with another_gateway() as gateway, owner_connection() as owner:
        for statement in [part for each in reversed(operations) for part in each.reverse_sql]:
            owner.execute(statement.encode())
        late = threading.Thread(target=lambda: gateway.execute(SETTLE, [call, b"p" * 32]), daemon=True)
        late.start()
        eventually(lambda: owner.execute(WAITS, [gateway.info.backend_pid]).fetchone() == (True,))
        owner.commit()
        try:
            late.join(60)
            gateway.commit()
        finally:
            for statement in [part for each in operations for part in each.sql]:
                owner.execute(statement.encode())
    with platform():
        assert (TokenUsage.objects.count(), UsageDaily.objects.get().calls) == (1, 1)


RULES = "token_usages_calls_are_not_negative"


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("change", "tokens", "rule"),
    [
        ("hold_usd = 0", (-1, 20, 0, 0, 0), RULES),
        ("hold_usd = 0", (100, -1, 0, 0, 0), RULES),
        ("hold_usd = 0", (100, 20, -1, 0, 0), RULES),
        ("hold_usd = 0", (100, 20, 0, 0, -1), RULES),
        ("hold_usd = 0", (100, 20, 0, 1, 2), RULES),
        ("run_created_at = run_created_at - interval '1 day'", (100, 20, 0, 0, 0), "token_usages_belong_to_run"),
    ],
)
def test_a_settlement_is_held_to_the_ledgers_rules_without_its_trigger(
    change: str, tokens: tuple[int, ...], rule: str
) -> None:
    run = running_run()
    call = opened_call(run)
    settle = "SELECT gateway_settle_call(%s, 'req_1', %s, %s, %s, %s, %s, false, %s)"
    with platform(), connection.cursor() as cursor:
        cursor.execute(f"UPDATE gateway_calls SET {change} WHERE request_id = %s", [call])  # noqa: S608 - ours
        with pytest.raises(IntegrityError) as refused, transaction.atomic():
            cursor.execute(settle, [call, *tokens, b"p" * 32])
        assert refused.value.__cause__.diag.constraint_name == rule  # type: ignore[union-attr]
        assert list(GatewayCall.objects.values_list("request_id", flat=True)) == [call]
        assert not TokenUsage.objects.exists()
        assert not UsageDaily.objects.exists()
        cursor.execute("SELECT current_setting('paid.sums', true)")
        assert cursor.fetchone() in {(None,), ("",)}
