"""The ledger's SQL: exact costs, dated prices, idempotence, sums that always agree."""

import json
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any
from uuid import UUID, uuid4

import psycopg.errors
import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection, transaction
from django.db.models import Sum
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agent_runs.models import AgentRun
from metrics.analytics.spend import Spend, spend_by
from metrics.errors import BudgetExhausted, OwnLimitReached
from metrics.models import BudgetReservation, TokenUsage, UsageDaily
from metrics.operations import close_escrow, correct_usage, open_escrow, post_spend, post_unposted, reopen_escrow
from metrics.querysets import cost_of_run
from paid.lib.tenancy import platform, tenant
from tests.metrics.records import Tenant, add_price, make_budget, make_run, make_tenant

pytestmark = pytest.mark.django_db
MAX_TOKENS = 10_000_000


@pytest.fixture
def owner(db: None) -> Tenant:
    return make_tenant()


def with_hour(tokens: tuple[int, ...]) -> tuple[int, ...]:
    """Five counts from four or five: without the last nothing is cached for an hour."""
    return (*tokens, 0)[:5]


def cost(owner: Tenant, *tokens: int, at: datetime | None = None) -> Decimal | None:
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_cost(%s, %s, %s, %s, %s, %s, %s)",
            [owner.model.pk, at or datetime.now(UTC), *with_hour(tokens)],
        )
        found: Decimal | None = cursor.fetchone()[0]
    return found


def spent_by_day(owner: Tenant, *, days: int = 1) -> list[Spend]:
    """Of the last days, today last."""
    today = datetime.now(UTC).date()
    return spend_by("day", owner.account.pk, since=today - timedelta(days=days - 1), until=today)


def open_call(run: AgentRun) -> UUID:
    request_id = uuid4()
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT refusal FROM gateway_open_call(%s, %s, %s, 'scripted-demo', 'test', 1000, 500, 100, false)",
            [request_id, run.pk, run.language_model_id],
        )
        assert cursor.fetchone() == (None,)
    return request_id


def settle(request_id: UUID, *tokens: int, payload: bytes = b"p" * 32) -> tuple[Decimal, bool, bool]:
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT * FROM gateway_settle_call(%s, 'req_1', %s, %s, %s, %s, %s, false, %s)",
            [request_id, *with_hour(tokens), payload],
        )
        row: tuple[Decimal, bool, bool] = cursor.fetchone()
    return row


def correct(request_id: UUID, cost_usd: Decimal | str, correction_id: UUID) -> bool:
    with platform():
        started = TokenUsage.objects.filter(request_id=request_id).values_list("run_created_at", flat=True).first()
    return correct_usage(
        run_created_at=started or datetime.now(UTC),
        request_id=request_id,
        corrected_cost_usd=Decimal(cost_usd),
        correction_id=correction_id,
    )


def settled_run(owner: Tenant, calls: int = 1) -> AgentRun:
    run = make_run(owner)
    open_escrow(run=run)
    for _ in range(calls):
        settle(open_call(run), 100, 20, 300, 40)
    return run


def test_a_cost_is_the_exact_product_of_tokens_and_price(owner: Tenant) -> None:
    # 100 × 3 + 20 × 15 + 300 × 0.3 + 40 × 3.75 = 840 per million.
    assert cost(owner, 100, 20, 300, 40) == Decimal("0.000840")


# The tenant and its prices are only read: one for all examples is right.
@settings(
    max_examples=50, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(tokens=st.tuples(*[st.integers(0, MAX_TOKENS)] * 4))
def test_no_count_of_tokens_is_rounded(owner: Tenant, tokens: tuple[int, int, int, int]) -> None:
    prices = (Decimal("3"), Decimal("15"), Decimal("0.3"), Decimal("3.75"))
    assert cost(owner, *tokens) == sum(map(Decimal.__mul__, map(Decimal, tokens), prices)) / 1_000_000


def test_a_price_counts_from_its_date_on(owner: Tenant) -> None:
    start = datetime(2026, 6, 1, tzinfo=UTC)
    add_price(owner.model, "input", Decimal("2.000001"), starts_at=start)
    assert cost(owner, 1, 0, 0, 0, at=datetime(2026, 5, 31, tzinfo=UTC)) == Decimal("0.000003")
    assert cost(owner, 1, 0, 0, 0, at=start) == Decimal("0.000002000001")


def test_a_tier_starts_when_the_whole_input_passes_its_threshold(owner: Tenant) -> None:
    add_price(owner.model, "input", Decimal(6), threshold_tokens=200_000)
    assert cost(owner, 1, 0, 199_999, 0) == Decimal("0.000003") + 199_999 * Decimal("0.0000003")
    assert cost(owner, 1, 0, 200_000, 0) == Decimal("0.000006") + 200_000 * Decimal("0.0000003")


def test_a_class_without_a_price_makes_the_call_unpriced_only_when_it_has_tokens() -> None:
    half_priced = make_tenant("scripted-half", is_priced=False)
    add_price(half_priced.model, "input", Decimal(1))
    assert cost(half_priced, 5, 0, 0, 0) == Decimal("0.000005")
    assert cost(half_priced, 5, 1, 0, 0) is None


def test_settling_books_the_row_the_day_the_run_and_the_escrow(owner: Tenant) -> None:
    run = settled_run(owner, calls=3)
    post_spend(run=run)
    with tenant(owner.account.pk):
        booked = cost_of_run(run.pk)
        run.refresh_from_db()
        assert BudgetReservation.objects.get(agent_run=run).drawn_usd == Decimal("0.00252")
        before, today = spent_by_day(owner, days=2)
    assert (booked.cost_usd, booked.calls, booked.input_tokens, booked.cache_write_tokens) == (
        Decimal("0.00252"),
        3,
        300,
        120,
    )
    assert (run.cost_usd, run.output_tokens, run.cache_read_tokens) == (Decimal("0.00252"), 60, 900)
    assert (today.cost_usd, today.calls, before.cost_usd) == (Decimal("0.00252"), 3, Decimal(0))


def test_the_same_report_twice_is_one_row(owner: Tenant) -> None:
    run = make_run(owner)
    open_escrow(run=run)
    request_id = open_call(run)
    assert settle(request_id, 100, 20, 300, 40) == (Decimal("0.00084"), True, True)
    assert settle(request_id, 100, 20, 300, 40) == (Decimal("0.00084"), True, False)
    with platform():
        assert TokenUsage.objects.count() == 1
        assert UsageDaily.objects.aggregate(calls=Sum("calls"))["calls"] == 1


def test_another_content_under_the_same_id_is_an_error_and_changes_nothing(owner: Tenant) -> None:
    run = make_run(owner)
    open_escrow(run=run)
    request_id = open_call(run)
    settle(request_id, 100, 20, 300, 40)
    with pytest.raises(DatabaseError, match="booked with another content"), transaction.atomic():
        settle(request_id, 999, 20, 300, 40, payload=b"q" * 32)
    with tenant(owner.account.pk):
        assert cost_of_run(run.pk).input_tokens == 100


def test_a_call_that_was_never_opened_cannot_be_settled(owner: Tenant) -> None:
    with pytest.raises(DatabaseError, match="was never booked") as refused, transaction.atomic():
        settle(uuid4(), 1, 1, 1, 1)
    assert isinstance(refused.value.__cause__, psycopg.Error)
    assert refused.value.__cause__.sqlstate == "PA404"


def test_a_correction_is_a_row_of_its_own(owner: Tenant) -> None:
    run = settled_run(owner)
    correction_id = uuid4()
    with platform():
        call = TokenUsage.objects.get()
    for _ in range(2):
        correct(call.request_id, "0.0005", correction_id)
    with tenant(owner.account.pk):
        booked = cost_of_run(run.pk)
        run.refresh_from_db()
        assert spent_by_day(owner)[0].cost_usd == Decimal("0.0005")
    assert (booked.cost_usd, booked.calls) == (Decimal("0.0005"), 1)
    assert run.cost_usd == Decimal("0.0005")


def test_a_tenant_neither_books_nor_moves_money(owner: Tenant) -> None:
    run = make_run(owner)
    for statement in ("SELECT escrow_close(%s)", "SELECT escrow_open(%s, 1, now())"):
        with (
            pytest.raises(DatabaseError, match="permission denied"),
            tenant(owner.account.pk),
            connection.cursor() as cursor,
        ):
            cursor.execute(statement, [run.pk])


def test_a_tenant_sees_only_its_own_spending(owner: Tenant) -> None:
    run = settled_run(owner)
    outsider = make_tenant()
    with tenant(outsider.account.pk):
        assert cost_of_run(run.pk).calls == 0
        assert spent_by_day(owner)[0].cost_usd == 0


def reconcile(*arguments: str) -> tuple[dict[str, Any], int]:
    out, code = StringIO(), 0
    try:
        call_command("reconcile_usage", "--json", *arguments, stdout=out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    report: dict[str, Any] = json.loads(out.getvalue())
    return report, code


def test_reconciling_finds_equality(owner: Tenant) -> None:
    settled_run(owner, calls=2)
    report, code = reconcile("--dry-run")
    assert (report["is_equal"], report["days"], report["runs"], code) == (True, [], [], 0)


def test_reconciling_mends_a_day_that_drifted_and_says_what_it_was(owner: Tenant) -> None:
    settled_run(owner, calls=2)
    with platform():
        UsageDaily.objects.update(cost_usd=Decimal("9"), calls=7)
    report, code = reconcile("--dry-run")
    assert (report["is_mended"], code) == (False, 1)
    report, code = reconcile()
    (day,) = report["days"]
    assert (day["daily_usd"], day["ledger_usd"], day["daily_calls"], code) == (
        "9.000000000000",
        "0.001680000000",
        7,
        0,
    )
    assert reconcile()[0]["is_equal"] is True
    with tenant(owner.account.pk):
        assert spent_by_day(owner)[0].cost_usd == Decimal("0.00168")


def test_reconciling_mends_a_run_whose_total_drifted_and_says_what_it_was(owner: Tenant) -> None:
    run = settled_run(owner)
    post_spend(run=run)
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(cost_usd=Decimal(1))
    report, code = reconcile()
    assert report["runs"] == [{"run_id": run.pk, "ledger_usd": "0.000840000000", "run_usd": "1.000000000000"}]
    assert (report["is_mended"], code) == (True, 0)
    with platform():
        run.refresh_from_db()
    assert run.cost_usd == Decimal("0.00084")
    assert reconcile("--dry-run") == ({"is_equal": True, "is_mended": False, "days": [], "runs": []}, 0)


def reprice(*arguments: str) -> tuple[dict[str, Any], int]:
    out, code = StringIO(), 0
    try:
        call_command("reprice", "--json", *arguments, stdout=out)
    except SystemExit as ended:
        code = int(ended.code or 0)
    report: dict[str, Any] = json.loads(out.getvalue())
    return report, code


def unpriced_run(owner: Tenant) -> AgentRun:
    run = make_run(owner)
    open_escrow(run=run)
    for _ in range(3):
        settle(open_call(run), 100, 20, 300, 40, 10)
    return run


def test_a_cache_write_of_an_hour_has_its_own_price(owner: Tenant) -> None:
    assert cost(owner, 0, 0, 0, 40, 10) is None
    add_price(owner.model, "cache_write_1h", Decimal(6))
    # 30 × 3.75 + 10 × 6 per million.
    assert cost(owner, 0, 0, 0, 40, 10) == Decimal("0.0001725")


def test_a_request_that_may_keep_its_cache_an_hour_holds_its_price(owner: Tenant) -> None:
    add_price(owner.model, "cache_write_1h", Decimal(6))
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT w.usd, h.usd FROM ledger_worst_case(%(m)s, now(), 1000, 0, false) w,"
            " ledger_worst_case(%(m)s, now(), 1000, 0, true) h",
            {"m": owner.model.pk},
        )
        assert cursor.fetchone() == (Decimal("0.00375"), Decimal("0.006"))


def test_repricing_books_what_was_unpriced_once_and_as_rows_of_its_own() -> None:
    owner = make_tenant(is_priced=False)
    run = unpriced_run(owner)
    report, code = reprice()
    (model,) = report["models"]
    assert (model["left_calls"], model["left_tokens"], model["priced_calls"], code) == (3, 1380, 0, 1)
    for token_class, usd in {"input": "3", "output": "15", "cache_read": "0.3", "cache_write": "3.75"}.items():
        add_price(owner.model, token_class, Decimal(usd))
    add_price(owner.model, "cache_write_1h", Decimal(6))

    report, code = reprice("--dry-run")
    (model,) = report["models"]
    # 840 per million, and 10 of the 40 written tokens at 6 instead of 3.75.
    assert (model["priced_calls"], Decimal(model["priced_usd"]), code) == (3, Decimal("0.0025875"), 0)
    with platform():
        assert TokenUsage.objects.count() == 3
    assert reprice()[1] == 0
    assert reprice() == ({"is_dry_run": False, "models": []}, 0)

    with tenant(owner.account.pk):
        booked, (today,) = cost_of_run(run.pk), spent_by_day(owner)
        run.refresh_from_db()
        assert BudgetReservation.objects.get(agent_run=run).drawn_usd == Decimal("0.0025875")
        assert sorted(TokenUsage.objects.values_list("kind", flat=True)) == ["call"] * 3 + ["pricing"] * 3
    assert (booked.cost_usd, booked.calls, booked.unpriced_calls) == (Decimal("0.0025875"), 3, 0)
    assert (run.cost_usd, run.unpriced_calls) == (Decimal("0.0025875"), 0)
    assert (today.cost_usd, today.calls, today.unpriced_calls) == (Decimal("0.0025875"), 3, 0)
    assert reconcile("--dry-run")[0]["is_equal"] is True


def test_a_price_that_starts_after_a_call_does_not_price_it() -> None:
    owner = make_tenant(is_priced=False)
    unpriced_run(owner)
    for token_class in ("input", "output", "cache_read", "cache_write", "cache_write_1h"):
        add_price(owner.model, token_class, Decimal(1), starts_at=datetime.now(UTC) + timedelta(hours=1))
    report, code = reprice()
    assert (report["models"][0]["left_calls"], code) == (3, 1)


def test_a_hand_made_correction_prices_an_unpriced_call_too() -> None:
    owner = make_tenant(is_priced=False)
    run = unpriced_run(owner)
    with platform():
        request_id = TokenUsage.objects.all()[0].request_id
    for cost_usd, booked in (("0.5", [True, False]), ("0.25", [True, False])):
        correction_id = uuid4()
        assert [correct(request_id, cost_usd, correction_id) for _ in range(2)] == booked
    with tenant(owner.account.pk):
        found = cost_of_run(run.pk)
    assert (found.cost_usd, found.unpriced_calls) == (Decimal("0.25"), 2)
    assert reconcile("--dry-run")[0]["is_equal"] is True


STEPS = st.lists(
    st.tuples(
        st.sampled_from(
            # Most of the first two: without a call that is settled nothing is said.
            ["open"] * 3 + ["settle"] * 3 + ["settle again", "release", "sweep", "correct", "post", "close", "reopen"]
        ),
        st.integers(0, 3),
        st.integers(0, 50_000),
    ),
    max_size=25,
)


def run_sum(statement: str, account_id: int) -> Decimal:
    with platform(), connection.cursor() as cursor:
        cursor.execute(statement, [account_id])
        found: Decimal = cursor.fetchone()[0]
    return found


# Each example has a tenant of its own; the fixture's transaction around all of them is right.
@settings(max_examples=10, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(steps=STEPS)
def test_any_way_of_calls_crashes_and_corrections_leaves_equal_sums(
    db: None, steps: list[tuple[str, int, int]]
) -> None:
    owner = make_tenant()
    make_budget(owner, "2")
    run = make_run(owner)
    open_escrow(run=run, wanted_usd=Decimal(1))
    calls: list[UUID] = []
    for step, which, tokens in steps:
        with suppress(DatabaseError, BudgetExhausted, OwnLimitReached), transaction.atomic():
            _take_step(step, run, calls, which, tokens)
    account_id = owner.account.pk
    ledger = run_sum("SELECT coalesce(sum(cost_usd), 0) FROM token_usages WHERE account_id = %s", account_id)
    assert run_sum("SELECT coalesce(sum(cost_usd), 0) FROM usage_daily WHERE account_id = %s", account_id) == ledger
    assert reconcile("--dry-run")[0]["is_equal"] is True
    post_unposted()
    assert run_sum("SELECT sum(cost_usd) FROM agent_runs WHERE account_id = %s", account_id) == ledger
    assert reconcile("--dry-run")[0]["is_equal"] is True


def _take_step(step: str, run: AgentRun, calls: list[UUID], which: int, tokens: int) -> None:
    if step == "open":
        # A call that is refused, for want of money or of an escrow, was never opened.
        with suppress(AssertionError):
            calls.append(open_call(run))
    elif step == "close":
        close_escrow(run=run)
    elif step == "post":
        post_unposted()
    elif step == "reopen":
        reopen_escrow(run=run, limit_usd=Decimal(1), more_usd=Decimal(which))
    elif step == "sweep":
        # As a gateway that starts anew after it died: whatever it left open is settled with what is known.
        with platform(), connection.cursor() as cursor:
            cursor.execute(
                "SELECT gateway_sweep_call(left_open)"
                " FROM unnest(gateway_left_calls('test', now() + interval '1 hour', now())) AS left_open"
            )
    elif calls:
        request_id = calls[which % len(calls)]
        if step.startswith("settle"):
            settle(request_id, tokens if step == "settle" else 1, 7, 11, 5)
        elif step == "release":
            with platform(), connection.cursor() as cursor:
                cursor.execute("SELECT gateway_release_call(%s)", [request_id])
        else:
            correct(request_id, Decimal(tokens) / 1_000_000, UUID(int=tokens))
