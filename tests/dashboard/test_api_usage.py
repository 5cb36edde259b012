"""Model calls that did not pass the gateway, reported over HTTP: what the ledger makes of them, and for whom."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection
from django.utils import timezone

from accounts.models import ApiScope, AuditEvent
from agent_runs.models import AgentRun, RunStatus
from metrics.models import BudgetReservation, TokenUsage, UsageDaily
from metrics.operations import open_escrow
from metrics.repricing import reprice
from paid.lib.tenancy import platform
from prompts.models import TokenClass
from tests.dashboard.test_api import make_token, problem
from tests.dashboard.test_api_runs import RUNS, Program
from tests.factories.accounts import UserFactory
from tests.metrics.records import PRICES, Tenant, add_price, make_model, make_run, make_tenant

pytestmark = pytest.mark.django_db

COST = (1000 * PRICES["input"] + 200 * PRICES["output"] + 5000 * PRICES["cache_read"] + 300 * PRICES["cache_write"]) / (
    1_000_000
)


@pytest.fixture
def owner() -> Tenant:
    return make_tenant("scripted-demo")


@pytest.fixture
def run(owner: Tenant) -> AgentRun:
    run = make_run(owner)
    open_escrow(run=run)
    return run


@pytest.fixture
def program(owner: Tenant) -> Program:
    return Program(make_token(owner.account, UserFactory(), ApiScope.USAGE_WRITE))


def address(run: AgentRun) -> str:
    return f"{RUNS}/{run.pk}/usage"


def report(**fields: object) -> dict[str, object]:
    counted = {"input_tokens": 1000, "output_tokens": 200, "cache_read_tokens": 5000, "cache_write_tokens": 300}
    now = datetime.now(UTC).isoformat()
    return {"request_id": "req_1", "model": "scripted-demo", "called_at": now, **counted, **fields}


def booked(run: AgentRun) -> list[TokenUsage]:
    with platform():
        return list(TokenUsage.objects.filter(agent_run_id=run.pk).order_by("provider_request_id"))


def now_of(run: AgentRun) -> AgentRun:
    with platform():
        return AgentRun.objects.get(pk=run.pk)


def drift() -> list[tuple[str]]:
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT run_id::text FROM run_cost_drift() UNION ALL SELECT day::text FROM usage_daily_drift()")
        return list(cursor.fetchall())


def test_a_call_is_priced_by_the_ledger_marked_as_reported_and_added_to_every_sum(run: AgentRun, program: Program):
    answer = program.post(address(run), report())

    assert answer.status_code == 200
    assert answer.json() == {
        "run_id": run.pk, "request_id": "req_1", "cost_usd": f"{COST.normalize():f}", "is_priced": True, "is_new": True,
    }  # fmt: skip
    (row,) = booked(run)
    assert (row.kind, row.is_reported, row.is_estimated) == ("call", True, False)
    assert (row.cost_usd, row.model_name, row.provider_request_id) == (COST, "scripted-demo", "req_1")
    after = now_of(run)
    assert (after.cost_usd, after.input_tokens, after.output_tokens) == (COST, 1000, 200)
    assert (after.cache_read_tokens, after.cache_write_tokens, after.unpriced_calls) == (5000, 300, 0)
    with platform():
        assert UsageDaily.objects.get(project_id=run.project_id).cost_usd == COST
        assert BudgetReservation.objects.get(agent_run=run).drawn_usd == COST
        told = AuditEvent.objects.get(action="usage.reported")
    assert (told.actor.startswith("API token"), told.object_id, told.data["request_id"]) == (True, str(run.pk), "req_1")
    assert drift() == []


def test_the_same_report_again_books_nothing_and_another_content_is_refused(run: AgentRun, program: Program):
    first = report()
    program.post(address(run), first)

    again = program.post(address(run), first)
    assert (again.status_code, again.json()["is_new"], again.json()["cost_usd"]) == (
        200,
        False,
        f"{COST.normalize():f}",
    )
    other = program.post(address(run), {**first, "output_tokens": 201})
    assert problem(other) == (409, "request_id_reused")
    assert now_of(run).cost_usd == COST
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(status=RunStatus.FAILED, finished_at=timezone.now())
    # Whoever got no answer may ask when the run has ended, too.
    assert program.post(address(run), first).json()["is_new"] is False
    assert len(booked(run)) == 1


def test_a_run_that_has_ended_or_not_begun_takes_no_report(owner: Tenant, run: AgentRun, program: Program):
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(status=RunStatus.FAILED, finished_at=timezone.now())
    assert problem(program.post(address(run), report())) == (409, "run_takes_no_reports")
    assert (len(booked(run)), now_of(run).cost_usd) == (0, Decimal(0))


def test_no_report_fills_the_sums_that_calls_of_the_gateway_are_added_to(run: AgentRun, program: Program):
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(cost_usd=Decimal(1_000_000) - COST)
    assert program.post(address(run), report()).status_code == 200
    assert problem(program.post(address(run), report(request_id="req_2"))) == (409, "run_too_dear")
    assert (len(booked(run)), now_of(run).cost_usd) == (1, Decimal(1_000_000))


def test_another_accounts_token_finds_no_run(run: AgentRun):
    stranger = Program(make_token(make_tenant("other-model").account, UserFactory(), *ApiScope))
    assert problem(stranger.post(address(run), report())) == (404, "run_not_found")
    assert booked(run) == []


def test_a_call_that_the_gateway_has_metered_is_not_booked_twice(run: AgentRun, program: Program):
    program.post(address(run), report(request_id="msg_1"))
    with platform(), connection.cursor() as cursor:
        # The gateway's own row has an id of its own, and the provider's beside it.
        cursor.execute(
            "INSERT INTO token_usages (account_id, project_id, run_created_at, agent_run_id, request_id, model_name,"
            " provider_request_id, is_priced, payload_hash)"
            " SELECT account_id, project_id, created_at, id, gen_random_uuid(), 'm', 'msg_2', true, ''"
            " FROM agent_runs WHERE id = %s",
            [run.pk],
        )
    assert problem(program.post(address(run), report(request_id="msg_2"))) == (409, "call_was_metered")
    assert [row.provider_request_id for row in booked(run)] == ["msg_1", "msg_2"]


def test_a_model_without_a_price_is_booked_as_unpriced_and_priced_later(owner: Tenant, run: AgentRun, program: Program):
    answer = program.post(address(run), report(model="never-heard-of"))
    assert (answer.json()["is_priced"], answer.json()["cost_usd"]) == (False, "0")
    assert (now_of(run).unpriced_calls, now_of(run).cost_usd) == (1, Decimal(0))
    with platform():
        owner.account.language_models.create(provider="other", model_id="never-heard-of", name="N", context_window=1)
        model = owner.account.language_models.get(model_id="never-heard-of")
    for token_class in (TokenClass.INPUT, TokenClass.OUTPUT, TokenClass.CACHE_READ, TokenClass.CACHE_WRITE):
        add_price(model, token_class, Decimal(2))
    reprice(is_dry_run=False)
    assert (now_of(run).unpriced_calls, now_of(run).cost_usd) == (0, Decimal("0.013"))
    assert drift() == []


def test_a_price_that_takes_a_run_beyond_its_sums_keeps_no_other_accounts_call_from_being_priced(
    owner: Tenant, run: AgentRun, program: Program
):
    other = make_tenant("other-model")
    theirs = make_run(other)
    program.post(address(run), report(model="never-heard-of"))
    stranger = Program(make_token(other.account, UserFactory(), ApiScope.USAGE_WRITE))
    stranger.post(address(theirs), report(model="never-heard-of"))
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(cost_usd=Decimal("99999999.999999999999"))
    for one in (owner, other):
        make_model(one.account, "never-heard-of")
    found = {one.account_id: (one.priced_calls, one.left_calls) for one in reprice(is_dry_run=False)}
    assert found == {owner.account.pk: (0, 1), other.account.pk: (1, 0)}
    assert (now_of(run).unpriced_calls, now_of(theirs).unpriced_calls) == (1, 0)


def test_a_report_that_costs_more_than_is_left_is_booked_whole_and_leaves_the_run_nothing(
    run: AgentRun, program: Program
):
    program.post(address(run), report(output_tokens=10_000_000))
    cost = now_of(run).cost_usd
    with platform():
        held = BudgetReservation.objects.get(agent_run=run)
    assert cost > held.amount_usd == held.drawn_usd
    assert drift() == []


@pytest.mark.parametrize(
    "fields",
    [
        {"input_tokens": -1},
        {"output_tokens": 10_000_001},
        {"input_tokens": 0, "output_tokens": 0, "cache_read_tokens": 0, "cache_write_tokens": 0},
        {"cache_write_1h_tokens": 301},
        {"input_tokens": 1.5},
        {"cost_usd": "0"},
        {"request_id": ""},
        {"request_id": "a\x00"},
        {"model": "m" * 201},
        {"called_at": "2026-01-01T00:00:00"},
        {"called_at": "2020-01-01T00:00:00Z"},
        {"called_at": (datetime.now(UTC) + timedelta(days=2)).isoformat()},
    ],
)
def test_what_cannot_be_is_refused_and_not_booked(run: AgentRun, program: Program, fields: dict[str, object]):
    assert problem(program.post(address(run), report(**fields))) == (422, "invalid")
    assert (len(booked(run)), now_of(run).cost_usd) == (0, Decimal(0))
