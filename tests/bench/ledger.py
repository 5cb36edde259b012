"""The ledger under 16 writers of one project: each row a transaction of its own, with budget check and daily sums."""

import asyncio
import hashlib
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any
from uuid import uuid4

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
    is_plain: bool = False


@dataclass(frozen=True)
class Written:
    """Seconds of each hold and of each settlement; for the baseline only the latter."""

    holds: list[float]
    settlements: list[float]


@measure("write")
def sixteen_writers(bench: Bench) -> Iterator[Figure]:
    tenant = make_tenant()
    make_budget(tenant, "100000", period=BudgetPeriod.MONTH)
    make_budget(tenant, "50000", period=BudgetPeriod.DAY, project=tenant.project)
    writers = []
    seconds = min(bench.sizes.seconds, LONGEST_SECONDS)
    for number in range(bench.sizes.writers):
        run = make_run(tenant, token=f"ledger-{number}")
        open_escrow(run=run, wanted_usd=Decimal(500))
        writers.append(Writer(run, f"ledger-{number}", seconds))
    with bench.connect("owner") as owner:
        base = _plain_rate(owner, [Writer(w.run, w.token, seconds / 3, is_plain=True) for w in writers])
        done = run_crowd(_write, writers)
        rows, ledger, daily, drawn = owner.execute(BOOKED, {"account": tenant.account.pk}).fetchone() or (0, 0, 0, 0)
    settlements = [taken for written in done for taken in written.settlements]
    holds = [taken for written in done for taken in written.holds]
    # Each writer made one call before all started.
    if not (rows == len(settlements) + len(writers) and ledger == daily == drawn):
        raise AssertionError(f"{len(settlements)} settled, {rows} booked: ledger {ledger}, sums {daily}, drawn {drawn}")
    settled, held = Timings.of_seconds(settlements), Timings.of_seconds(holds)
    spent = sum(settlements) / (sum(settlements) + sum(holds))
    yield Figure(
        f"ledger rows/s, {len(writers)} writers on one project, held before and settled after",
        len(settlements) / seconds,
        "rows/s",
        at_least(3000),
        base,
        "INSERT of one row into a plain table",
        f"two commits a row; {rows:,} rows equal their daily sums and what escrows drew, to the last digit",
        {"settlement": settled.details, "hold": held.details},
    )
    yield Figure(
        f"ledger rows/s, {len(writers)} writers, the settlement alone",
        len(settlements) / seconds / spent,
        "rows/s",
        None,
        base,
        "INSERT of one row into a plain table",
        f"row, daily sum, escrow and run's sums in one commit, p99 {settled.p99_ms:.3g} ms; from its share of the time",
    )


def _plain_rate(owner: "psycopg.Connection[Any]", writers: Sequence[Writer]) -> float:
    owner.execute(PLAIN_TABLE)
    owner.execute("GRANT INSERT ON plain_usages TO paid_platform")
    try:
        done = run_crowd(_write, writers)
    finally:
        owner.execute("DROP TABLE plain_usages")
    return sum(len(written.settlements) for written in done) / writers[0].seconds


def _write(member: Member, writer: Writer) -> Written:
    if writer.is_plain:
        return _insert_plainly(member, writer)
    return asyncio.run(_call(member, writer))


async def _call(member: Member, writer: Writer) -> Written:
    ledger = Ledger(f"bench-{member.number}", pool_size=1)
    await ledger.open()
    try:
        admission = await ledger.admit(hashlib.sha256(writer.token.encode()).digest(), MODEL)
        if admission is None:
            raise LookupError(f"{writer.token} is not known")
        await _one_call(ledger, admission)
        end = member.wait_for_all() + writer.seconds
        holds, settlements = [], []
        while time.monotonic() < end:
            held, settled = await _one_call(ledger, admission)
            holds.append(held)
            settlements.append(settled)
        return Written(holds, settlements)
    finally:
        await ledger.close()


async def _one_call(ledger: Ledger, admission: Admission) -> tuple[float, float]:
    begin, request_id = time.monotonic(), uuid4()
    hold = await ledger.open_call(request_id, admission, REQUEST)
    if hold.refusal:
        raise LookupError(f"refused: {hold.refusal}")
    held = time.monotonic()
    await ledger.settle(Settlement(request_id, TOKENS, "msg", is_estimated=False))
    return held - begin, time.monotonic() - held


def _insert_plainly(member: Member, writer: Writer) -> Written:
    alias, taken, run = settings.DATABASES["default"], [], writer.run
    with psycopg.connect(
        host=alias["HOST"],
        port=alias["PORT"],
        user=alias["USER"],
        password=alias["PASSWORD"],
        dbname=alias["NAME"],
        options="-c role=paid_platform",
        autocommit=True,
    ) as connection:
        ids = [run.account_id, run.project_id, run.created_at, run.pk]
        end = member.wait_for_all() + writer.seconds
        while time.monotonic() < end:
            begin = time.monotonic()
            connection.execute(PLAIN_INSERT, [*ids, uuid4(), run.language_model_id, b"0" * 32])
            taken.append(time.monotonic() - begin)
    return Written([], taken)
