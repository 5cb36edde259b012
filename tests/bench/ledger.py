"""The ledger under 16 writers of one project: each row a transaction of its own, with escrow and daily sums.

The writers are calls under way in two gateway processes, each with a connection of its own, as on two worker hosts.
Beside it in the same run: what the server commits at most, and rows into a plain table, by a process per writer.
"""

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Literal
from uuid import UUID, uuid4

import psycopg
import uvloop
from django.conf import settings

from agent_runs.models import AgentRun
from metrics.gateway.anthropic import MessagesRequest, Tokens
from metrics.gateway.ledger import Admission, Ledger, Settlement
from metrics.gateway.poster import Poster
from metrics.models import BudgetPeriod
from metrics.operations import open_escrow
from tests.bench.context import Bench
from tests.bench.crowd import Member, run_crowd
from tests.bench.figures import Figure, Timings, at_least, measure
from tests.metrics.records import make_budget, make_run, make_tenant

MODEL = "scripted-demo"
LONGEST_SECONDS = 10.0
TOKENS = Tokens(input=1200, output=300, cache_read=9000, cache_write=400)
REQUEST = MessagesRequest(b"x" * 4000, MODEL, 500)
GATEWAYS = 2
# More than 16 writers have ever settled; who has none left stops early.
CALLS_A_SECOND = 500
# A commit that has to reach the disk and does nothing else.
TRIVIAL_COMMIT = "SELECT pg_logical_emit_message(true, 'bench', '')"
HELD_CALLS = """
INSERT INTO gateway_calls (request_id, account_id, agent_run_id, run_created_at, language_model_id, model_name,
                           hold_usd, gateway_id, opened_at)
SELECT gen_random_uuid(), account_id, id, created_at, language_model_id, %(model)s, 0.01, 'bench', now()
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
       (SELECT coalesce(sum(drawn_usd), 0) FROM budget_reservations WHERE account_id = %(account)s),
       (SELECT coalesce(sum(cost_usd), 0) FROM agent_runs WHERE account_id = %(account)s)
FROM token_usages WHERE account_id = %(account)s
"""


@dataclass(frozen=True)
class Writer:
    run: AgentRun
    token: str


@dataclass(frozen=True)
class Share:
    """One process's part of the writers, and what they do for how long."""

    writers: tuple[Writer, ...]
    task: Literal["call", "settle", "insert", "commit"]
    seconds: float


@dataclass(frozen=True)
class Written:
    """Seconds of each hold and of each settlement (or insert, or commit), and of all of them together."""

    holds: list[float]
    settlements: list[float]
    seconds: float


@measure("write")
def sixteen_writers(bench: Bench) -> Iterator[Figure]:
    writers = _writers(bench)
    account, seconds = writers[0].run.account_id, min(bench.sizes.seconds, LONGEST_SECONDS)
    with bench.connect("owner") as owner:
        commits = _rate(_alone(writers, "commit", seconds / 3))
        base = _plain_rate(owner, writers, seconds / 3)
        called = _by_gateways(writers, "call", seconds)
        owner.execute(
            HELD_CALLS,
            {"model": MODEL, "calls": int(CALLS_A_SECOND * seconds), "account": account},
        )
        owner.execute("VACUUM ANALYZE gateway_calls")
        settled = _by_gateways(writers, "settle", seconds)
        rows, ledger, daily, drawn, runs = owner.execute(BOOKED, {"account": account}).fetchone() or (0, 0, 0, 0, 0)
    # Each writer made one call before all started.
    done = sum(len(written.settlements) for written in called + settled) + len(writers)
    if not (rows == done and ledger == daily == drawn == runs):
        raise AssertionError(
            f"{done} settled, {rows} booked: ledger {ledger}, sums {daily}, drawn {drawn}, runs {runs}"
        )
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
        writers.append(Writer(run, f"ledger-{number}"))
    return writers


def _by_gateways(writers: Sequence[Writer], task: Literal["call", "settle"], seconds: float) -> list[Written]:
    shares = [Share(tuple(writers[number::GATEWAYS]), task, seconds) for number in range(min(GATEWAYS, len(writers)))]
    return run_crowd(_work_as_gateway, shares)


def _alone(writers: Sequence[Writer], task: Literal["insert", "commit"], seconds: float) -> list[Written]:
    return run_crowd(_repeat, [Share((writer,), task, seconds) for writer in writers])


def _rate(done: Sequence[Written]) -> float:
    return sum(len(written.settlements) / written.seconds for written in done)


def _plain_rate(owner: "psycopg.Connection[Any]", writers: Sequence[Writer], seconds: float) -> float:
    owner.execute(PLAIN_TABLE)
    owner.execute("GRANT INSERT ON plain_usages TO paid_platform")
    try:
        return _rate(_alone(writers, "insert", seconds))
    finally:
        owner.execute("DROP TABLE plain_usages")


def _work_as_gateway(member: Member, share: Share) -> Written:
    """On the event loop that the gateway's server has."""
    return uvloop.run(_use_ledger(member, share))


async def _use_ledger(member: Member, share: Share) -> Written:
    ledger = Ledger(f"bench-{member.number}", pool_size=len(share.writers))
    poster = Poster(ledger)
    await ledger.open()
    try:
        work = _settle if share.task == "settle" else _call
        ready = [await _prepared(writer, share.task, ledger, poster) for writer in share.writers]
        # All connections before the start: as many questions at once as there are writers.
        await asyncio.gather(*(ledger.now() for _ in share.writers))
        begin = await asyncio.to_thread(member.wait_for_all)
        done = await asyncio.gather(*(work(each, ledger, poster, begin + share.seconds) for each in ready))
        seconds = time.monotonic() - begin
        await poster.finish()
    finally:
        await ledger.close()
    holds, settlements = [one for each, _ in done for one in each], [one for _, each in done for one in each]
    return Written(holds, settlements, seconds)


@dataclass(frozen=True)
class _Ready:
    """A writer before the start: who it is to the gateway, or the calls that it holds."""

    admission: Admission
    held: list[UUID]


async def _prepared(writer: Writer, task: str, ledger: Ledger, poster: Poster) -> _Ready:
    admission = await ledger.admit(hashlib.sha256(writer.token.encode()).digest(), MODEL)
    if admission is None:
        raise LookupError(f"{writer.token} is not known")
    if task == "call":
        await _one_call(ledger, poster, admission)
        return _Ready(admission, [])
    with _connected() as connection:
        rows = connection.execute(
            "SELECT request_id FROM gateway_calls WHERE agent_run_id = %s", [writer.run.pk]
        ).fetchall()
    return _Ready(admission, [row[0] for row in rows])


async def _call(ready: _Ready, ledger: Ledger, poster: Poster, end: float) -> tuple[list[float], list[float]]:
    holds, settlements = [], []
    while time.monotonic() < end:
        held, settled = await _one_call(ledger, poster, ready.admission)
        holds.append(held)
        settlements.append(settled)
    return holds, settlements


async def _one_call(ledger: Ledger, poster: Poster, admission: Admission) -> tuple[float, float]:
    begin, request_id = time.monotonic(), uuid4()
    hold = await ledger.open_call(request_id, admission, REQUEST)
    if hold.refusal:
        raise LookupError(f"refused: {hold.refusal}")
    held = time.monotonic()
    await ledger.settle(Settlement(request_id, admission.run_created_at, TOKENS, "msg", is_estimated=False))
    poster.due()
    return held - begin, time.monotonic() - held


async def _settle(ready: _Ready, ledger: Ledger, poster: Poster, end: float) -> tuple[list[float], list[float]]:
    held, taken = list(ready.held), []
    while held and time.monotonic() < end:
        began = time.monotonic()
        await ledger.settle(Settlement(held.pop(), ready.admission.run_created_at, TOKENS, "msg", is_estimated=False))
        poster.due()
        taken.append(time.monotonic() - began)
    return [], taken


def _repeat(member: Member, share: Share) -> Written:
    """The baselines: one plain row, or nothing, a transaction."""
    run = share.writers[0].run
    ids = [run.account_id, run.project_id, run.created_at, run.pk]
    with _connected() as connection:
        begin, taken = member.wait_for_all(), []
        while time.monotonic() < begin + share.seconds:
            began = time.monotonic()
            if share.task == "commit":
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
