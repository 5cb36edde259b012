"""Proving and mending the ledger's sums beside calls that are settled: nobody waits, and nothing is counted twice."""

from datetime import timedelta
from uuid import UUID

import pytest
from django.db import transaction
from django.db.models import F, Sum

from agent_runs.models import AgentRun
from metrics.models import TokenUsage, UsageDaily
from metrics.reconciliation import reconcile_usage
from paid.lib.tenancy import platform
from tests.metrics.test_posting import PRICE, settled
from tests.metrics.test_settling import SETTLE, another_gateway, opened_call, running_run

pytestmark = pytest.mark.django_db(transaction=True)


def run_outside_of_slot_0() -> AgentRun:
    """Where a repair adds to: who adds to the same row of sums waits until that is over."""
    return next(run for run in iter(running_run, None) if run.pk % 16)


def settle_beside(call: UUID) -> None:
    """On a connection of its own, which would give up after 20 seconds of waiting."""
    with another_gateway() as gateway:
        gateway.execute(SETTLE, [call, b"p" * 32])
        gateway.commit()


def spoil(run: AgentRun, usd: int) -> None:
    with platform():
        assert UsageDaily.objects.filter(account_id=run.account_id).update(cost_usd=F("cost_usd") + usd) == 1


def test_calls_are_settled_while_sums_without_drift_are_looked_at() -> None:
    settled(run_outside_of_slot_0())
    call = opened_call(run_outside_of_slot_0())
    with transaction.atomic():
        assert reconcile_usage(is_dry_run=False).is_equal
        settle_beside(call)
    assert reconcile_usage(is_dry_run=True).is_equal


def test_calls_of_others_are_settled_while_a_day_is_mended() -> None:
    run = settled(run_outside_of_slot_0())
    spoil(run, 5)
    call = opened_call(run_outside_of_slot_0())
    with transaction.atomic():
        (day,) = reconcile_usage(is_dry_run=False).days
        settle_beside(call)
    assert (day.ledger_usd, day.daily_usd) == (PRICE, 5 + PRICE)
    assert reconcile_usage(is_dry_run=True).is_equal


def test_a_call_that_is_settled_while_its_day_is_mended_counts_once() -> None:
    run = settled(run_outside_of_slot_0())
    spoil(run, 5)
    call = opened_call(run)
    with another_gateway() as gateway:
        gateway.execute(SETTLE, [call, b"p" * 32])
        (day,) = reconcile_usage(is_dry_run=False).days
        gateway.commit()
    assert (day.ledger_usd, day.daily_usd) == (PRICE, 5 + PRICE)
    assert reconcile_usage(is_dry_run=True).is_equal
    with platform():
        assert UsageDaily.objects.aggregate(usd=Sum("cost_usd"))["usd"] == 2 * PRICE


def test_a_day_without_rows_is_mended_to_nothing() -> None:
    run = settled(run_outside_of_slot_0())
    with platform():
        today = TokenUsage.objects.get().created_at.date()
        rows = UsageDaily.objects.filter(account_id=run.account_id)
        rows.update(day=today - timedelta(days=1), slot=0)
    assert [day.day for day in reconcile_usage(is_dry_run=False).days] == [today - timedelta(days=1), today]
    with platform():
        (row,) = rows.values("day", "slot", "calls", "cost_usd")
    assert row == {"day": today, "slot": 0, "calls": 1, "cost_usd": PRICE}
