"""What follows rows of the ledger: the same whether they come one by one or together."""

from collections.abc import Sequence
from datetime import date
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError, connection, transaction

from agent_runs.models import AgentRun
from metrics.models import SpendDaily, TokenUsage, UsageDaily
from paid.lib.tenancy import platform
from tests.metrics.records import Tenant, make_run, make_tenant

pytestmark = pytest.mark.django_db
# kind, is it priced, tokens in, cost
ROWS = [
    ("call", True, 100, "0.25"),
    ("call", False, 40, "0"),
    ("pricing", True, 0, "0.125"),
    ("correction", True, 0, "-0.05"),
]
INSERT = """
INSERT INTO token_usages (account_id, project_id, run_created_at, agent_run_id, request_id, kind, corrects_request_id,
                          language_model_id, model_name, input_tokens, cost_usd, is_priced, payload_hash, created_at)
VALUES (%s, %s, %s, %s, gen_random_uuid(), %s, CASE WHEN %s <> 'call' THEN gen_random_uuid() END,
        %s, 'scripted-demo', %s, %s, %s, 'hash', '2026-03-02T10:00:00Z')
"""
DAY = date(2026, 3, 2)


def values(run: AgentRun, account_id: int, rows: Sequence[tuple[str, bool, int, str]]) -> list[Any]:
    return [
        value
        for kind, is_priced, tokens, cost in rows
        for value in (
            account_id,
            run.project_id,
            run.created_at,
            run.pk,
            kind,
            kind,
            run.language_model_id,
            tokens,
            cost,
            is_priced,
        )
    ]


def add(run: AgentRun, rows: Sequence[tuple[str, bool, int, str]], *, account_id: int | None = None) -> None:
    """All rows by one statement."""
    head, values_of_one = INSERT.split("VALUES")
    statement = head + "VALUES" + ",".join([values_of_one] * len(rows))
    with platform(), connection.cursor() as cursor:
        cursor.execute(statement, values(run, account_id or run.account_id, rows))


def sums(owner: Tenant) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    with platform():
        usage = UsageDaily.objects.filter(account_id=owner.account.pk)
        spend = SpendDaily.objects.filter(account_id=owner.account.pk).order_by("dimension")
        return (
            list(usage.values_list("day", "calls", "unpriced_calls", "input_tokens", "cost_usd")),
            list(spend.values_list("dimension", "day", "calls", "unpriced_calls", "cost_usd")),
        )


@pytest.mark.parametrize("sizes", [(1, 1, 1, 1), (4,), (3, 1)])
def test_the_sums_are_the_same_however_many_rows_a_statement_adds(sizes: tuple[int, ...]) -> None:
    owner = make_tenant()
    run, rest = make_run(owner), list(ROWS)
    for size in sizes:
        add(run, rest[:size])
        rest = rest[size:]
    assert sums(owner) == (
        [(DAY, 2, 0, 140, Decimal("0.325"))],
        [("person", DAY, 2, 0, Decimal("0.325")), ("prompt_version", DAY, 2, 0, Decimal("0.325"))],
    )


@pytest.mark.parametrize("count", [1, 2])
def test_it_refuses_rows_that_name_another_account_than_their_run(count: int) -> None:
    owner, stranger = make_tenant(), make_tenant()
    run = make_run(owner)
    with pytest.raises(IntegrityError, match="do not match account and time of their run"), transaction.atomic():
        add(run, ROWS[:count], account_id=stranger.account.pk)
    with platform():
        assert not TokenUsage.objects.filter(agent_run_id=run.pk).exists()
    assert sums(owner) == sums(stranger) == ([], [])


def test_a_statement_that_adds_no_row_adds_to_no_sum() -> None:
    owner = make_tenant()
    with platform(), connection.cursor() as cursor:
        cursor.execute("INSERT INTO token_usages SELECT * FROM token_usages WHERE false")
    assert sums(owner) == ([], [])
