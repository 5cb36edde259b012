"""The sheet that a call finds says what the prices say, class by class."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.db import connection, transaction
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from paid.lib.tenancy import platform
from prompts.models import LanguageModel, TokenClass
from tests.metrics.records import add_price, make_model, make_tenant

pytestmark = pytest.mark.django_db
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
THRESHOLDS = (0, 1_000, 5_000)
Price = tuple[str, int, int, int]

prices = st.lists(
    st.tuples(
        st.sampled_from(TokenClass.values), st.sampled_from(THRESHOLDS), st.integers(0, 5), st.integers(0, 10**9)
    ),
    max_size=12,
    unique_by=lambda price: price[:3],
)
tokens = st.tuples(*[st.integers(0, 4_000)] * 4)


def day(number: int) -> datetime:
    return BEGIN + timedelta(days=number)


def price_of(known: list[Price], token_class: str, context: int, at: int) -> Decimal | None:
    """By the rule: of the thresholds passed the highest, of its prices that have started the latest."""
    found = [
        (threshold, start, millionths)
        for name, threshold, start, millionths in known
        if name == token_class and start <= at and (threshold == 0 or threshold < context)
    ]
    return Decimal(max(found)[2]) / 10**6 if found else None


def cost_of(known: list[Price], counts: tuple[int, int, int, int], at: int) -> Decimal | None:
    context, cost = counts[0] + counts[2] + counts[3], Decimal(0)
    for name, count in zip(("input", "output", "cache_read", "cache_write"), counts, strict=True):
        price = price_of(known, name, context, at)
        if count and price is None:
            return None
        cost += count * (price or Decimal(0)) / 10**6
    return cost


def worst_case_of(known: list[Price], at: int) -> Decimal | None:
    """2,000 tokens in, of which any may be kept for an hour, and 100 out."""
    names = ("input", "cache_read", "cache_write", "cache_write_1h")
    dearest = [price for name in names if (price := price_of(known, name, 2_000, at)) is not None]
    output = price_of(known, "output", 2_000, at)
    return (2_000 * max(dearest) + 100 * output) / 10**6 if dearest and output is not None else None


def asked(model: LanguageModel, counts: tuple[int, int, int, int], at: int) -> tuple[Decimal | None, Decimal | None]:
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT ledger_cost(%s, %s, %s, %s, %s, %s, 0), (ledger_worst_case(%s, %s, 2000, 100, true)).usd",
            [model.pk, day(at), *counts, model.pk, day(at)],
        )
        row: tuple[Decimal | None, Decimal | None] = cursor.fetchone()
    return row


@given(known=prices, counts=tokens, at=st.integers(0, 6))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_any_prices_in_any_order_cost_what_their_rule_says(
    known: list[Price], counts: tuple[int, int, int, int], at: int
) -> None:
    with transaction.atomic():
        model = make_model(make_tenant().account, "priced", is_priced=False)
        for name, threshold, start, millionths in known:
            usd = Decimal(millionths) / 10**6
            add_price(model, name, usd, starts_at=day(start), threshold_tokens=threshold)
        assert asked(model, counts, at) == (cost_of(known, counts, at), worst_case_of(known, at))
        transaction.set_rollback(True)
