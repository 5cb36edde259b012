"""Escrow: taken once from the budgets, and never a cent over a hard limit, however many ask at once."""

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from uuid import uuid4

import httpx
import pytest
from django.db import connection
from django.db.models import Sum

from agent_runs.models import AgentRun, RunStatus
from metrics.errors import BudgetExhausted, OwnLimitReached
from metrics.models import BudgetPeriod, BudgetReservation, CostBudget, GatewayCall
from metrics.operations import close_escrow, extend_escrow, open_escrow, reopen_escrow, sweep_escrows
from metrics.querysets import cost_of_run
from paid.lib.tenancy import platform, tenant
from tests.metrics.conftest import GatewayServer
from tests.metrics.records import PRICES, Tenant, add_price, make_budget, make_project, make_run, make_tenant


def escrow_of(run: AgentRun) -> BudgetReservation:
    with platform():
        return BudgetReservation.objects.get(agent_run=run)


def spend(run: AgentRun, tokens: int) -> None:
    """One settled call of so many input tokens, at 3 USD a million."""
    request_id = uuid4()
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT refusal FROM gateway_open_call(%s, %s, %s, 'scripted-demo', 'test', %s, %s, 0, false)",
            [request_id, run.pk, run.language_model_id, tokens, tokens],
        )
        assert cursor.fetchone() == (None,)
        cursor.execute("SELECT gateway_settle_call(%s, '', %s, 0, 0, 0, 0, false, %s)", [request_id, tokens, b"x" * 32])


@pytest.fixture
def owner(db: None) -> Tenant:
    return make_tenant()


def test_without_budgets_a_run_gets_what_it_asks_for(owner: Tenant) -> None:
    run = make_run(owner)
    open_escrow(run=run, wanted_usd=Decimal("3.5"))
    assert escrow_of(run).amount_usd == Decimal("3.5")


def test_the_tightest_hard_budget_decides(owner: Tenant) -> None:
    make_budget(owner, "4", period=BudgetPeriod.MONTH)
    make_budget(owner, "2.5", project=owner.project)
    make_budget(owner, "3", period=BudgetPeriod.RUN)
    make_budget(owner, "0.01", period=BudgetPeriod.RUN, project=owner.project, is_hard=False)
    run = make_run(owner)
    open_escrow(run=run)
    assert escrow_of(run).amount_usd == Decimal("2.5")


def test_a_second_opening_changes_nothing(owner: Tenant) -> None:
    run = make_run(owner)
    open_escrow(run=run, wanted_usd=Decimal(1))
    open_escrow(run=run, wanted_usd=Decimal(2))
    assert escrow_of(run).amount_usd == Decimal(1)


def test_a_budget_held_by_other_runs_is_refused_in_words_and_takes_nothing(owner: Tenant) -> None:
    make_budget(owner, "2")
    open_escrow(run=make_run(owner))
    refused = make_run(owner)
    with pytest.raises(BudgetExhausted, match=r"The budget for today \(2\.00 USD\) is used up or held by other runs"):
        open_escrow(run=refused)
    with platform():
        assert not BudgetReservation.objects.filter(agent_run=refused).exists()


def test_a_closed_escrow_gives_back_what_was_not_spent(owner: Tenant) -> None:
    make_budget(owner, "2")
    first, second = make_run(owner), make_run(owner)
    open_escrow(run=first)
    spend(first, 100_000)
    assert close_escrow(run=first) == Decimal("1.7")
    assert close_escrow(run=first) == 0
    open_escrow(run=second)
    assert escrow_of(second).amount_usd == Decimal("1.7")


def test_another_projects_spending_counts_for_the_account_only(owner: Tenant) -> None:
    elsewhere = make_project(owner.account)
    make_budget(owner, "1", project=owner.project)
    make_budget(owner, "10")
    other, run = make_run(owner, project=elsewhere), make_run(owner)
    open_escrow(run=other, wanted_usd=Decimal(8))
    open_escrow(run=run)
    assert escrow_of(run).amount_usd == Decimal(1)


def test_a_call_on_its_way_keeps_its_money_when_the_escrow_closes(owner: Tenant) -> None:
    make_budget(owner, "2")
    first, second = make_run(owner), make_run(owner)
    open_escrow(run=first)
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT hold_usd FROM gateway_open_call(%s, %s, %s, 'scripted-demo', 'test', 100000, 0, 0, false)",
            [uuid4(), first.pk, first.language_model_id],
        )
        assert cursor.fetchone() == (Decimal("0.375"),)
    close_escrow(run=first)
    open_escrow(run=second)
    assert escrow_of(second).amount_usd == Decimal("1.625")


def test_more_is_granted_within_the_budgets_only(owner: Tenant) -> None:
    make_budget(owner, "3")
    run = make_run(owner)
    open_escrow(run=run, wanted_usd=Decimal(1))
    assert extend_escrow(run=run, wanted_usd=Decimal(5)) == Decimal(2)
    assert escrow_of(run).amount_usd == Decimal(3)
    with pytest.raises(BudgetExhausted):
        extend_escrow(run=run, wanted_usd=Decimal(1))


def test_the_sweep_closes_the_escrow_of_a_run_that_ended(owner: Tenant) -> None:
    ended, live = make_run(owner), make_run(owner)
    open_escrow(run=ended)
    open_escrow(run=live)
    with platform():
        AgentRun.objects.filter(pk=ended.pk).update(status=RunStatus.FAILED, finished_at=ended.created_at)
    assert sweep_escrows() == 1
    assert escrow_of(ended).closed_at is not None
    assert escrow_of(live).closed_at is None


def refusal_of_call(run: AgentRun, *, is_kept_an_hour: bool = False) -> str | None:
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT refusal FROM gateway_open_call(%s, %s, %s, 'scripted-demo', 'test', 10, 10, 10, %s)",
            [uuid4(), run.pk, run.language_model_id, is_kept_an_hour],
        )
        refusal: str | None = cursor.fetchone()[0]
    return refusal


def test_an_unpriced_model_is_refused_where_a_hard_budget_applies(db: None) -> None:
    owner = make_tenant(is_priced=False)
    make_budget(owner, "5")
    run = make_run(owner)
    open_escrow(run=run)
    assert refusal_of_call(run) == "unpriced"
    with platform():
        assert not GatewayCall.objects.exists()


@pytest.mark.parametrize("missing", PRICES)
def test_a_model_with_some_prices_is_refused_where_a_hard_budget_applies(db: None, missing: str) -> None:
    # A call with tokens of that class would be unpriced, draw nothing, and so have no end.
    owner = make_tenant(is_priced=False)
    for token_class in PRICES.keys() - {missing}:
        add_price(owner.model, token_class, PRICES[token_class])
    budget = make_budget(owner, "5")
    run = make_run(owner)
    open_escrow(run=run)
    assert refusal_of_call(run) == "unpriced"
    with platform():
        CostBudget.objects.filter(pk=budget.pk).update(is_hard=False)
    assert refusal_of_call(run) is None


def test_a_cache_of_an_hour_needs_its_own_price_where_a_hard_budget_applies(db: None) -> None:
    owner = make_tenant()
    make_budget(owner, "5")
    run = make_run(owner)
    open_escrow(run=run)
    assert refusal_of_call(run, is_kept_an_hour=True) == "unpriced"
    assert refusal_of_call(run) is None
    add_price(owner.model, "cache_write_1h", Decimal(6))
    assert refusal_of_call(run, is_kept_an_hour=True) is None


@pytest.mark.django_db(transaction=True)
def test_a_hundred_runs_at_once_never_take_more_than_the_hard_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    # They share sixteen connections: on a slow machine the last ones wait for longer than a page would.
    connection.ensure_connection()
    monkeypatch.setattr(connection.pool, "timeout", 300)  # type: ignore[attr-defined]
    owner = make_tenant()
    make_budget(owner, "10")
    runs = [make_run(owner) for _ in range(100)]

    def take(run: AgentRun) -> bool:
        try:
            open_escrow(run=run, wanted_usd=Decimal("0.3"))
        except BudgetExhausted:
            return False
        finally:
            connection.close()
        return True

    with ThreadPoolExecutor(100) as pool:
        taken = list(pool.map(take, runs))
    # 33 whole shares of 0.30 and the last 0.10.
    assert taken.count(True) == 34
    with platform():
        assert BudgetReservation.objects.aggregate(sum=Sum("amount_usd"))["sum"] == Decimal(10)


def calls_under_way() -> int:
    with platform():
        return GatewayCall.objects.count()


@pytest.mark.django_db(transaction=True)
def test_a_hundred_calls_at_once_never_spend_more_than_the_escrow(
    gateway: GatewayServer, eventually: Callable[[Callable[[], bool]], None]
) -> None:
    owner = make_tenant()
    make_budget(owner, "0.05")
    run = make_run(owner, token="t")
    open_escrow(run=run)
    body = {"model": "scripted-demo", "max_tokens": 500, "messages": [{"role": "user", "content": "Hi " * 500}]}
    with gateway.client("t") as client:

        def call(_: int) -> int:
            response: httpx.Response = client.post("/v1/messages", json=body)
            return response.status_code

        with ThreadPoolExecutor(100) as pool:
            statuses = list(pool.map(call, range(100)))
    assert set(statuses) == {200, 403}
    eventually(lambda: not calls_under_way())
    counted = gateway.upstream.counters()["total"]
    assert counted["calls"] == statuses.count(200)
    spent = (counted["input_tokens"] * 3 + counted["output_tokens"] * 15) / Decimal(1_000_000)
    with tenant(owner.account.pk):
        assert cost_of_run(run.pk).cost_usd == spent
    assert escrow_of(run).drawn_usd == spent <= Decimal("0.05")


def test_a_reopened_escrow_has_what_is_left_of_the_runs_own_limit_and_what_was_granted(owner: Tenant) -> None:
    run = make_run(owner)
    open_escrow(run=run, wanted_usd=Decimal(1))
    spend(run, 100_000)
    close_escrow(run=run)
    assert reopen_escrow(run=run, limit_usd=Decimal(1)) == Decimal("0.7")
    spend(run, 160_000)
    close_escrow(run=run)
    assert reopen_escrow(run=run, limit_usd=Decimal(1), more_usd=Decimal(2)) == Decimal("2.22")
    escrow = escrow_of(run)
    assert (escrow.amount_usd, escrow.drawn_usd, escrow.granted_usd) == (Decimal(3), Decimal("0.78"), Decimal(2))
    assert escrow.closed_at is None


def test_a_run_that_used_up_its_own_limit_needs_a_grant(owner: Tenant) -> None:
    run = make_run(owner)
    open_escrow(run=run, wanted_usd=Decimal("0.375"))
    spend(run, 100_000)
    close_escrow(run=run)
    with pytest.raises(OwnLimitReached, match=r"its own limit of 0\.30 USD"):
        reopen_escrow(run=run, limit_usd=Decimal("0.3"))
    assert escrow_of(run).closed_at is not None


def test_what_others_hold_meanwhile_is_not_given_to_a_reopened_escrow(owner: Tenant) -> None:
    make_budget(owner, "2")
    make_budget(owner, "1.5", period=BudgetPeriod.RUN)
    first, second = make_run(owner), make_run(owner)
    open_escrow(run=first, wanted_usd=Decimal(1))
    spend(first, 100_000)
    close_escrow(run=first)
    open_escrow(run=second, wanted_usd=Decimal(1))
    assert reopen_escrow(run=first, limit_usd=Decimal(1), more_usd=Decimal(5)) == Decimal("0.7")
    close_escrow(run=first)
    close_escrow(run=second)
    # The budget per run holds the whole of it: 1.50 less the 0.30 that are spent.
    assert reopen_escrow(run=first, limit_usd=Decimal(1), more_usd=Decimal(5)) == Decimal("1.2")
    close_escrow(run=first)
    spend_all = make_run(owner)
    open_escrow(run=spend_all, wanted_usd=Decimal(5))
    make_budget(owner, "0.3", project=owner.project)
    with pytest.raises(BudgetExhausted, match=r"for today \(0\.30 USD\)"):
        reopen_escrow(run=first, limit_usd=Decimal(1), more_usd=Decimal(5))
    assert escrow_of(first).closed_at is not None
