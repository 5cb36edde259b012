"""How what settlements leave on escrows comes into the runs' own sums: once, in time, and beside others."""

import asyncio
import threading
from collections.abc import Callable, Sequence
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import connection

from agent_runs.models import AgentRun, RunStatus
from agent_runs.operations import finish_run
from metrics.gateway.ledger import Ledger
from metrics.gateway.poster import Poster
from metrics.models import BudgetReservation, RunHistogram, RunsDaily, TokenUsage
from metrics.operations import close_escrow, correct_usage, open_escrow, post_spend, post_unposted
from metrics.tasks import return_escrows
from paid.lib.sql import SqlFile
from paid.lib.tenancy import platform
from tests.database import owner_connection
from tests.metrics.records import make_run, make_tenant
from tests.metrics.test_settling import SETTLE, WAITS, another_gateway, opened_call, running_run

# 100, 20, 300 and 40 tokens at the prices of tests/metrics/records.py.
PRICE = Decimal("0.00084")
POST = "SELECT spend_post_behind(%s)"


def settled(run: AgentRun, calls: int = 1) -> AgentRun:
    for _ in range(calls):
        call = opened_call(run)
        with platform(), connection.cursor() as cursor:
            cursor.execute(SETTLE, [call, b"p" * 32])
    return run


def sums(run: AgentRun) -> list[Decimal | int]:
    fields = ("cost_usd", "input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "unpriced_calls")
    with platform():
        return list(AgentRun.objects.values_list(*fields).get(pk=run.pk))


def escrow_of(run: AgentRun) -> BudgetReservation:
    with platform():
        return BudgetReservation.objects.get(agent_run=run)


def drifted() -> list[int]:
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT run_id FROM run_cost_drift()")
        return [row[0] for row in cursor.fetchall()]


@pytest.mark.django_db
def test_what_calls_come_to_is_on_the_escrow_first_and_in_the_run_once_it_is_posted() -> None:
    run = settled(running_run(), calls=3)
    escrow = escrow_of(run)
    assert sums(run) == [0, 0, 0, 0, 0, 0]
    assert (escrow.unposted_calls, escrow.unposted_usd, escrow.drawn_usd) == (3, 3 * PRICE, 3 * PRICE)
    assert drifted() == []
    post_spend(run=run)
    post_spend(run=run)
    assert sums(run) == [3 * PRICE, 300, 60, 900, 120, 0]
    escrow = escrow_of(run)
    assert [escrow.unposted_calls, escrow.unposted_usd, escrow.drawn_usd] == [0, 0, 3 * PRICE]
    assert drifted() == []


@pytest.mark.django_db
def test_a_call_without_a_price_is_counted_in_the_run() -> None:
    owner = make_tenant("scripted-demo", is_priced=False)
    run = make_run(owner)
    open_escrow(run=run)
    settled(run)
    assert escrow_of(run).unposted_unpriced_calls == 1
    with platform():
        call = TokenUsage.objects.get(agent_run_id=run.pk)
    # Its price comes while it is unposted: first it counts, and then no more.
    correct_usage(
        run_created_at=call.run_created_at,
        request_id=call.request_id,
        corrected_cost_usd=Decimal(2),
        correction_id=uuid4(),
    )
    assert sums(run) == [2, 100, 20, 300, 40, 0]
    assert drifted() == []


@pytest.mark.django_db
def test_the_end_of_an_escrow_posts_and_a_call_that_comes_later_is_posted_too() -> None:
    run = running_run()
    late = opened_call(run)
    settled(run)
    close_escrow(run=run)
    assert sums(run)[0] == PRICE
    assert not escrow_of(run).is_late
    with platform(), connection.cursor() as cursor:
        cursor.execute(SETTLE, [late, b"p" * 32])
    assert escrow_of(run).is_late
    assert drifted() == []
    post_unposted()
    assert sums(run)[0] == 2 * PRICE
    assert not escrow_of(run).is_late


@pytest.mark.django_db
def test_the_sweep_posts_what_a_gateway_that_died_left_unposted() -> None:
    alive, ended = settled(running_run()), settled(running_run())
    with platform():
        finish_run(run=ended, status=RunStatus.STOPPED)
    assert return_escrows() == 1
    assert (sums(alive)[0], sums(ended)[0]) == (PRICE, PRICE)
    assert (escrow_of(alive).closed_at is None, escrow_of(ended).closed_at is None) == (True, False)


@pytest.mark.django_db
def test_a_run_whose_escrow_closes_before_it_ends_is_added_to_its_day_once() -> None:
    run = settled(running_run())
    close_escrow(run=run)
    with platform():
        finish_run(run=run, status=RunStatus.STOPPED)
        day = RunsDaily.objects.get(account=run.account_id, dimension="all")
        buckets = RunHistogram.objects.filter(account=run.account_id, measure="usd")
        assert (day.stopped, day.cost_usd) == (1, PRICE)
        assert list(buckets.values_list("runs", flat=True)) == [1]


@pytest.mark.django_db(transaction=True)
def test_a_run_that_somebody_holds_keeps_no_other_from_being_posted() -> None:
    held, free = settled(running_run()), settled(running_run())
    with another_gateway() as worker:
        worker.execute("SELECT FROM agent_runs WHERE id = %s FOR NO KEY UPDATE", [held.pk])
        post_unposted()
        assert [sums(held)[0], sums(free)[0]] == [0, PRICE]
    post_unposted()
    assert sums(held)[0] == PRICE


@pytest.mark.django_db(transaction=True)
def test_an_escrow_in_other_hands_keeps_no_other_from_the_sweep() -> None:
    held, free, over = settled(running_run()), settled(running_run()), settled(running_run())
    with platform():
        for run in (held, over):
            finish_run(run=run, status=RunStatus.STOPPED)
    with another_gateway() as gateway:
        gateway.execute("SELECT FROM budget_reservations WHERE agent_run_id = %s FOR UPDATE", [held.pk])
        assert return_escrows() == 1
        assert [sums(run)[0] for run in (held, free, over)] == [0, PRICE, PRICE]
    assert return_escrows() == 1
    assert sums(held)[0] == PRICE


@pytest.mark.django_db(transaction=True)
def test_a_call_that_is_settled_while_its_run_is_posted_is_neither_lost_nor_counted_twice(
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    run = settled(running_run())
    call = opened_call(run)
    with another_gateway() as poster, another_gateway() as gateway, another_gateway() as watcher:
        watcher.autocommit = True
        poster.execute(POST, [run.pk])
        settling = threading.Thread(target=lambda: gateway.execute(SETTLE, [call, b"p" * 32]), daemon=True)
        settling.start()
        eventually(lambda: watcher.execute(WAITS, [gateway.info.backend_pid]).fetchone() == (True,))
        poster.commit()
        settling.join(60)
        gateway.commit()
    assert (sums(run)[0], escrow_of(run).unposted_usd) == (PRICE, PRICE)
    post_unposted()
    assert sums(run)[0] == 2 * PRICE


@pytest.mark.django_db(transaction=True)
def test_a_correction_and_a_settlement_of_its_run_do_not_wait_in_a_circle(
    eventually: Callable[[Callable[[], bool]], None],
) -> None:
    run = settled(running_run())
    call = opened_call(run)
    with platform():
        usage = TokenUsage.objects.get(agent_run_id=run.pk)
    correct = "SELECT ledger_correct(%s, %s, 1, %s)"
    with another_gateway() as corrector, another_gateway() as gateway, another_gateway() as watcher:
        watcher.autocommit = True
        gateway.execute(SETTLE, [call, b"p" * 32])
        correcting = threading.Thread(
            target=lambda: corrector.execute(correct, [usage.run_created_at, usage.request_id, uuid4()]), daemon=True
        )
        correcting.start()
        # For the escrow: it has none of the day's sums yet, which the settlement has.
        eventually(lambda: watcher.execute(WAITS, [corrector.info.backend_pid]).fetchone() == (True,))
        gateway.execute("UPDATE usage_daily SET calls = calls WHERE account_id = %s", [run.account_id])
        gateway.commit()
        correcting.join(60)
        corrector.commit()
    assert sums(run)[0] == 1 + PRICE
    assert drifted() == []


@pytest.mark.django_db
def test_a_repair_counts_what_is_unposted_once() -> None:
    run = settled(running_run(), calls=2)
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(cost_usd=1)
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT run_id, ledger_usd, run_usd FROM run_cost_repair()")
        assert cursor.fetchall() == [(run.pk, 2 * PRICE, 1 + 2 * PRICE)]
    assert [sums(run)[0], escrow_of(run).unposted_usd] == [2 * PRICE, 0]
    post_unposted()
    assert sums(run)[0] == 2 * PRICE
    assert drifted() == []


@pytest.mark.django_db(transaction=True)
def test_nothing_is_unposted_any_more_when_the_columns_go() -> None:
    run = settled(running_run())
    close_escrow(run=run)
    with owner_connection() as owner:
        owner.execute(b"UPDATE budget_reservations SET unposted_calls = 1, unposted_usd = 3, is_late = true")
        for statement in SqlFile("metrics", "posting").backwards:
            owner.execute(statement.encode())
        row = owner.execute("SELECT cost_usd FROM agent_runs WHERE id = %s", [run.pk]).fetchone()
        owner.rollback()
    assert row == (3 + PRICE,)


class CountingLedger(Ledger):
    """Counts how often it looked for something to post."""

    looks = 0

    async def unposted(self) -> Sequence[int]:
        self.looks += 1
        return await super().unposted()


@pytest.mark.django_db(transaction=True)
def test_calls_of_half_a_second_are_posted_together_and_nothing_when_there_were_none(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("metrics.gateway.poster.POST_SECONDS", 0.2)
    run = settled(running_run(), calls=2)

    async def post() -> list[int]:
        ledger = CountingLedger("test", pool_size=1)
        await ledger.open()
        try:
            poster, counts = Poster(ledger), []
            for calls in (100, 0, 1):
                for _ in range(calls):
                    poster.due()
                await poster.finish()
                counts.append(ledger.looks)
            return counts
        finally:
            await ledger.close()

    assert asyncio.run(post()) == [1, 1, 2]
    assert sums(run)[0] == 2 * PRICE


@pytest.mark.django_db(transaction=True)
def test_an_escrow_that_is_not_to_be_had_keeps_neither_connections_nor_other_runs(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("metrics.gateway.poster.POST_SECONDS", 0.05)
    held, free = settled(running_run()), settled(running_run())

    async def post() -> None:
        ledger = Ledger("test", pool_size=2)
        await ledger.open()
        try:
            poster = Poster(ledger)
            for _ in range(20):
                poster.due()
                await asyncio.sleep(0.05)
                # By the other connection, at any time.
                await ledger.now()
            await poster.finish()
        finally:
            await ledger.close()

    with another_gateway() as stranger:
        stranger.execute("SELECT FROM budget_reservations WHERE agent_run_id = %s FOR UPDATE", [held.pk])
        asyncio.run(post())
    assert (sums(held)[0], sums(free)[0]) == (Decimal(0), PRICE)
    assert f"run {held.pk}: what it has spent was not posted (LockNotAvailable)" in caplog.text
