"""An agent is told how long an answer its run can pay for, before the gateway has to refuse one."""

from decimal import Decimal

import pytest

from metrics.affordable import affordable_output_tokens
from metrics.operations import open_escrow
from tests.metrics.records import make_run, make_tenant

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.mark.parametrize(
    ("usd", "tokens"),
    [
        # Output costs 15 USD per million tokens.
        ("5", None),
        ("1.92", None),
        ("0.6", 10_000),
        ("0.2", 4_096),
        ("0.1", 3_333),
        ("0.01", 1_024),
    ],
)
def test_an_answer_takes_at_most_a_quarter_of_what_is_left(usd: str, tokens: int | None):
    run = make_run(make_tenant())
    open_escrow(run=run, wanted_usd=Decimal(usd))
    assert affordable_output_tokens(run=run) == tokens


def test_without_a_price_or_an_escrow_nothing_is_said():
    unpriced = make_run(make_tenant(is_priced=False))
    open_escrow(run=unpriced, wanted_usd=Decimal(1))
    assert affordable_output_tokens(run=unpriced) is None
    assert affordable_output_tokens(run=make_run(make_tenant())) is None
