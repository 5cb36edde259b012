"""The ledger under 16 writers of one project: each row a transaction of its own, with escrow and daily sums.

Beside it, by the same writers in the same run: what the server commits at most, and rows into a plain table.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg
from django.conf import settings

from agent_runs.models import AgentRun
from metrics.gateway.anthropic import MessagesRequest, Tokens
from metrics.gateway.ledger import Admission, Ledger, Settlement
from metrics.models import BudgetPeriod
from metrics.operations import open_escrow
from tests.bench.context import Bench
from tests.bench.crowd import Member, run_crowd
from tests.bench.figures import Figure, Timings, at_least, measure
from tests.metrics.records import make_budget, make_run, make_tenant

MODEL = "scripted-demo"
LONGEST_SECONDS = 15.0
TOKENS = Tokens(input=1200, output=300, cache_read=9000, cache_write=400)
REQUEST = MessagesRequest(b"x" * 4000, MODEL, 500)
# More than 16 writers have ever settled; who has none left stops early.
CALLS_A_SECOND = 500
# A commit that has to reach the disk and does nothing else.
TRIVIAL_COMMIT = "SELECT pg_logical_emit_message(true, 'bench', '')"
HELD_CALLS = """
INSERT INTO gateway_calls (request_id, account_id, agent_run_id, run_created_at, language_model_id, model_name, state,
                           hold_usd, gateway_id, opened_at)
SELECT gen_random_uuid(), account_id, id, created_at, language_model_id, %(model)s, 'open', 0.01, 'bench', now()
FROM agent_runs, generate_series(1, %(calls)s) WHERE account_id = %(account)s
"""
PLAIN_TABLE = "CREATE TABLE plain_usages (LIKE token_usages INCLUDING DEFAULTS)"
PLAIN_INSERT = """
INSERT INTO plain_usages (account_id, project_id, run_created_at, agent_run_id, request_id, language_model_id,
                          model_name, input_tokens, output_tokens, cache_read_tokens, cache_write_tokens, cost_usd,
                          is_priced, payload_hash)
VALUES (%s, %s, %s, %s, %s, %s, 'scripted-demo', 1200, 300, 9000, 400, 0.0123, true, %s)
"""
BOOKED = """
SELECT count(*), coalesce(sum(cost_usd), 0),
       (SELECT coalesce(sum(cost_usd), 0) FROM usage_daily WHERE account_id = %(account)s),
       (SELECT coalesce(sum(drawn_usd), 0) FROM budget_reservations WHERE account_id = %(account)s)
FROM token_usages WHERE account_id = %(account)s
"""


@dataclass(frozen=True)
class Writer:
    run: AgentRun
    token: str
    seconds: float
    task: Literal["call", "settle", "insert", "commit"] = "call"


@dataclass(frozen=True)
class Written:
    """Seconds of each hold and of each settlement (or insert, or commit), and of all of them together."""

    holds: list[float]
    settlements: list[float]
    seconds: float


@measure("write")
def sixteen_writers(bench: Bench) -> Iterator[Figure]:
    writers = _writers(bench)
    account = writers[0].run.account_id
    with bench.connect("owner") as owner:
        commits = _rate(_crowd(writers, "commit"))
        base = _plain_rate(owner, writers)
        called = _crowd(writers, "call")
        owner.execute(
            HELD_CALLS,
            {"model": MODEL, "calls": int(CALLS_A_SECOND * writers[0].seconds), "account": account},
        )
        owner.execute("VACUUM ANALYZE gateway_calls")
        settled = _crowd(writers, "settle")
        rows, ledger, daily, drawn = owner.execute(BOOKED, {"account": account}).fetchone() or (0, 0, 0, 0)
    # Each writer made one call before all started.
    done = sum(len(written.settlements) for written in called + settled) + len(writers)
    if not (rows == done and ledger == daily == drawn):
        raise AssertionError(f"{done} settled, {rows} booked: ledger {ledger}, sums {daily}, drawn {drawn}")
    timings = Timings.of_seconds([taken for written in settled for taken in written.settlements])
    yield Figure(
        f"ledger rows/s, {len(writers)} writers on one project, one row a transaction",
        _rate(settled),
        "rows/s",
        at_least(3000),
        base,
        "INSERT of one row into a plain table",
        f"settlements of calls held before: row, daily sums, escrow and run's sums; p99 {timings.p99_ms:.3g} ms; "
        f"{commits:,.0f} commits/s of nothing at all; {rows:,} rows equal their sums to the last digit",
        {"settlement": timings.details},
    )
    holds = Timings.of_seconds([taken for written in called for taken in written.holds])
    yield Figure(
        f"calls/s, {len(writers)} writers, each held before and settled after",
        _rate(called),
        "calls/s",
        None,
        base,
        "INSERT of one row into a plain table",
        "two transactions a call, as the gateway makes them",
        {"hold": holds.details},
    )


def _writers(bench: Bench) -> list[Writer]:
    """One live run each, of one project under two hard budgets."""
    tenant = make_tenant()
    make_budget(tenant, "100000", period=BudgetPeriod.MONTH)
    make_budget(tenant, "50000", period=BudgetPeriod.DAY, project=tenant.project)
    writers = []
    for number in range(bench.sizes.writers):
        run = make_run(tenant, token=f"ledger-{number}")
        open_escrow(run=run, wanted_usd=Decimal(500))
        writers.append(Writer(run, f"ledger-{number}", min(bench.sizes.seconds, LONGEST_SECONDS)))
    return writers


def _crowd(writers: Sequence[Writer], task: Literal["call", "settle", "insert", "commit"]) -> list[Written]:
    part = 1 / 3 if task in ("insert", "commit") else 1
    return run_crowd(_write, [replace(writer, task=task, seconds=writer.seconds * part) for writer in writers])


def _rate(done: Sequence[Written]) -> float:
    return sum(len(written.settlements) / written.seconds for written in done)


def _plain_rate(owner: "psycopg.Connection[Any]", writers: Sequence[Writer]) -> float:
    owner.execute(PLAIN_TABLE)
    owner.execute("GRANT INSERT ON plain_usages TO paid_platform")
    try:
        return _rate(_crowd(writers, "insert"))
    finally:
        owner.execute("DROP TABLE plain_usages")


def _write(member: Member, writer: Writer) -> Written:
    if writer.task in ("insert", "commit"):
        return _repeat(member, writer)
    return asyncio.run(_use_ledger(member, writer))


async def _use_ledger(member: Member, writer: Writer) -> Written:
    ledger = Ledger(f"bench-{member.number}", pool_size=1)
    await ledger.open()
    try:
        return await (_settle(member, writer, ledger) if writer.task == "settle" else _call(member, writer, ledger))
    finally:
        await ledger.close()


async def _call(member: Member, writer: Writer, ledger: Ledger) -> Written:
    admission = await ledger.admit(hashlib.sha256(writer.token.encode()).digest(), MODEL)
    if admission is None:
        raise LookupError(f"{writer.token} is not known")
    await _one_call(ledger, admission)
    begin, holds, settlements = member.wait_for_all(), [], []
    while time.monotonic() < begin + writer.seconds:
        held, settled = await _one_call(ledger, admission)
        holds.append(held)
        settlements.append(settled)
    return Written(holds, settlements, time.monotonic() - begin)


async def _one_call(ledger: Ledger, admission: Admission) -> tuple[float, float]:
    begin, request_id = time.monotonic(), uuid4()
    hold = await ledger.open_call(request_id, admission, REQUEST)
    if hold.refusal:
        raise LookupError(f"refused: {hold.refusal}")
    held = time.monotonic()
    await ledger.settle(Settlement(request_id, TOKENS, "msg", is_estimated=False))
    return held - begin, time.monotonic() - held


async def _settle(member: Member, writer: Writer, ledger: Ledger) -> Written:
    with _connected() as connection:
        held: list[UUID] = [
            row[0]
            for row in connection.execute(
                "SELECT request_id FROM gateway_calls WHERE agent_run_id = %s AND state = 'open'", [writer.run.pk]
            )
        ]
    begin, taken = member.wait_for_all(), []
    while held and time.monotonic() < begin + writer.seconds:
        began = time.monotonic()
        await ledger.settle(Settlement(held.pop(), TOKENS, "msg", is_estimated=False))
        taken.append(time.monotonic() - began)
    return Written([], taken, time.monotonic() - begin)


def _repeat(member: Member, writer: Writer) -> Written:
    """The baselines: one plain row, or nothing, a transaction."""
    run = writer.run
    ids = [run.account_id, run.project_id, run.created_at, run.pk]
    with _connected() as connection:
        begin, taken = member.wait_for_all(), []
        while time.monotonic() < begin + writer.seconds:
            began = time.monotonic()
            if writer.task == "commit":
                connection.execute(TRIVIAL_COMMIT)
            else:
                connection.execute(PLAIN_INSERT, [*ids, uuid4(), run.language_model_id, b"0" * 32])
            taken.append(time.monotonic() - began)
    return Written([], taken, time.monotonic() - begin)


def _connected() -> "psycopg.Connection[Any]":
    alias = settings.DATABASES["default"]
    return psycopg.connect(
        host=alias["HOST"],
        port=alias["PORT"],
        user=alias["USER"],
        password=alias["PASSWORD"],
        dbname=alias["NAME"],
        options="-c role=paid_platform",
        autocommit=True,
    )
