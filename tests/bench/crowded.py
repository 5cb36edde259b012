"""A hundred runs at once: logs by threads of workers, usage by a gateway, an indexer behind; counted from outside.

A run is offered 100 rows a second, whatever becomes of them: what its spool has gained since the last batch is the
next batch, as the application's tail does it, so that a slow database meets larger batches, not fewer rows.
"""

import asyncio
import hashlib
import threading
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal
from typing import Any
from uuid import uuid4

import psycopg
from django.conf import settings
from django.db import connections
from psycopg_pool import ConnectionPool

from agent_runs.log_search import index_backlog
from agent_runs.logs import LogLine, write_lines
from agent_runs.models import AgentRun, LogKind
from metrics.gateway.anthropic import MessagesRequest, Tokens
from metrics.gateway.ledger import Ledger, Settlement
from metrics.gateway.poster import Poster
from metrics.operations import open_escrow
from paid.lib.tenancy import platform
from tests.bench.context import Bench
from tests.bench.crowd import Member, run_crowd
from tests.bench.figures import Figure, Timings, below, measure
from tests.metrics.records import make_run, make_tenant
from workflows.connections import released_connections

WORKERS = 4
LOG_ROWS_PER_SECOND, CALLS_PER_SECOND = 99, 1
# As long as the application's tail waits between two looks at the spool.
TICK_SECONDS = 0.15
# Of each worker's pool and of the gateway's. As shipped a worker has 16; half of that is tried for a moment.
CONNECTIONS, FEW_CONNECTIONS, GATEWAY_CONNECTIONS = 16, 8, 8
INDEXER_SECONDS = 1.0
TOKENS = Tokens(input=1200, output=300, cache_read=9000, cache_write=400)
LINE = "src/module_17.py:{} zebra in the {} of run {}: expected 4, got 5, see the trace above for what called it"
PLAIN_TABLE = "CREATE TABLE plain_logs (LIKE agent_run_logs INCLUDING DEFAULTS)"
PLAIN_COPY = """
COPY plain_logs (account_id, run_created_at, agent_run_id, seq, kind, content, metadata, created_at) FROM STDIN
"""
WRITTEN = """
SELECT (SELECT count(*) FROM agent_run_logs l JOIN crowd c
            ON (l.agent_run_id, l.run_created_at) = (c.id, c.created_at)),
       (SELECT count(*) FROM token_usages u JOIN crowd c ON (u.agent_run_id, u.run_created_at) = (c.id, c.created_at)),
       (SELECT coalesce(sum(u.cost_usd), 0) FROM token_usages u JOIN crowd c
            ON (u.agent_run_id, u.run_created_at) = (c.id, c.created_at)),
       (SELECT coalesce(sum(d.cost_usd), 0) FROM usage_daily d WHERE d.account_id IN (SELECT account_id FROM crowd))
"""
CROWD = """
CREATE TEMPORARY TABLE crowd AS SELECT id, account_id, created_at FROM agent_runs WHERE id = ANY(%s)
"""
DEADLOCKS = "SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()"


@dataclass(frozen=True)
class Share:
    """One process's part: a worker's runs, or (`is_gateway`) the tokens of all runs."""

    run_ids: tuple[int, ...]
    seconds: float
    is_gateway: bool = False
    is_indexer: bool = False
    is_plain: bool = False
    connections: int = CONNECTIONS


@dataclass(frozen=True)
class Waits:
    """What a pool counted: requests for a connection, how many of them had to wait, and how long together."""

    requests: int = 0
    waited: int = 0
    seconds: float = 0.0

    @classmethod
    def of_counts(cls, counts: Mapping[str, int]) -> "Waits":
        return cls(
            counts.get("requests_num", 0), counts.get("requests_queued", 0), counts.get("requests_wait_ms", 0) / 1000
        )

    def __add__(self, other: "Waits") -> "Waits":
        return Waits(self.requests + other.requests, self.waited + other.waited, self.seconds + other.seconds)


@dataclass
class Tally:
    """What one process did, as it saw it itself."""

    rows: int = 0
    seconds: list[float] = field(default_factory=list)
    errors: list[str] = field(default_factory=list)
    behind_seconds: float = 0.0
    waits: Waits = field(default_factory=Waits)

    def add(self, other: "Tally") -> None:
        self.rows += other.rows
        self.seconds += other.seconds
        self.errors += other.errors
        self.behind_seconds = max(self.behind_seconds, other.behind_seconds)
        self.waits += other.waits


@dataclass(frozen=True)
class Counted:
    """What is in the database afterwards, asked as its owner."""

    deadlocks: int
    log_rows: int
    calls: int
    ledger_usd: Decimal
    daily_usd: Decimal


@measure("write")
def hundred_runs(bench: Bench) -> Iterator[Figure]:
    runs = _make_runs(bench.sizes.crowd, "crowd")
    ids, seconds = tuple(run.pk for run in runs), bench.sizes.seconds
    shares = _shared_out(ids)
    with bench.connect("owner") as owner:
        plain = _write_plainly(owner, [Share(share, max(0.5, seconds / 6), is_plain=True) for share in shares])
        deadlocks = int(_one(owner, DEADLOCKS)[0])
        bench.say(f"  {len(ids)} runs write for {seconds:g} s")
        others = [Share(ids, seconds, is_indexer=True), Share(ids, seconds, is_gateway=True)]
        tallies = run_crowd(_take_part, [*(Share(share, seconds) for share in shares), *others])
        owner.execute(CROWD, [list(ids)])
        counted = Counted(int(_one(owner, DEADLOCKS)[0]) - deadlocks, *_one(owner, WRITTEN))
    logs, usage = Tally(), tallies[-1]
    for tally in tallies[: len(shares)]:
        logs.add(tally)
    yield from _speed(bench, plain, logs, usage)
    yield from _truth(bench, logs, usage, counted)
    yield from _waits(bench, logs, "log writers", len(shares), CONNECTIONS)
    yield from _waits(bench, usage, "gateway", 1, GATEWAY_CONNECTIONS)


@measure("write")
def hundred_runs_with_few_connections(bench: Bench) -> Iterator[Figure]:
    """Writers alone, to see what their pools would be worth at half their size."""
    ids = tuple(run.pk for run in _make_runs(bench.sizes.crowd, "few"))
    seconds, shares = max(0.5, bench.sizes.seconds / 6), _shared_out(ids)
    logs = _together([Share(share, seconds, connections=FEW_CONNECTIONS) for share in shares])
    yield from _waits(bench, logs, "log writers", len(shares), FEW_CONNECTIONS)


def _shared_out(ids: tuple[int, ...]) -> list[tuple[int, ...]]:
    return [ids[number::WORKERS] for number in range(min(WORKERS, len(ids)))]


def _waits(bench: Bench, tally: Tally, whose: str, pools: int, connections: int) -> Iterator[Figure]:
    """Whether a pool is large enough: who asks for a connection should hardly ever wait for one."""
    waits, name = tally.waits, f"{bench.sizes.crowd} runs at once, {connections} connections: {whose}"
    yield Figure(
        f"{name}, requests that waited for one",
        100 * waits.waited / max(waits.requests, 1),
        "%",
        note=f"{waits.waited:,} of {waits.requests:,} in {pools} pool{'s' if pools > 1 else ''}",
    )
    yield Figure(
        f"{name}, mean wait of a request",
        1000 * waits.seconds / max(waits.requests, 1),
        "ms",
        note=f"of those that waited {1000 * waits.seconds / max(waits.waited, 1):.3g} ms",
    )


def _speed(bench: Bench, plain: Tally, logs: Tally, usage: Tally) -> Iterator[Figure]:
    name, seconds = f"{bench.sizes.crowd} runs at once", bench.sizes.seconds
    ours, base, settled = (Timings.of_seconds(tally.seconds) for tally in (logs, plain, usage))
    offered = bench.sizes.crowd * (LOG_ROWS_PER_SECOND + CALLS_PER_SECOND)
    yield Figure(
        f"{name}: p99 of a log batch's commit",
        ours.p99_ms,
        "ms",
        below(100),
        base.p99_ms,
        "COPY into one plain table",
        f"{offered:,} rows/s offered for {seconds:g} s",
        ours.details | {"baseline": base.details},
    )
    yield Figure(
        f"{name}: rows/s written",
        (logs.rows + usage.rows) / (seconds + logs.behind_seconds),
        "rows/s",
        note=f"the slowest run was done {logs.behind_seconds:.1f} s after the last row was offered",
    )
    yield Figure(f"{name}: p99 of a call's settlement", settled.p99_ms, "ms", details=settled.details)


def _truth(bench: Bench, logs: Tally, usage: Tally, counted: Counted) -> Iterator[Figure]:
    name, errors = f"{bench.sizes.crowd} runs at once", logs.errors + usage.errors
    are_equal = counted.ledger_usd == counted.daily_usd
    lost = abs(logs.rows - counted.log_rows) + abs(usage.rows - counted.calls) + (not are_equal)
    words = f"{counted.log_rows:,} log rows and {counted.calls:,} ledger rows counted as the owner"
    yield Figure(
        f"{name}: deadlocks and errors", counted.deadlocks + len(errors), "", below(1), note="; ".join(errors[:3])
    )
    yield Figure(
        f"{name}: rows lost",
        lost,
        "",
        below(1),
        note=f"{words}; daily sums {'equal the ledger' if are_equal else 'DIFFER from the ledger'}",
    )


def _write_plainly(owner: "psycopg.Connection[Any]", shares: list[Share]) -> Tally:
    owner.execute(PLAIN_TABLE)
    owner.execute("GRANT INSERT ON plain_logs TO paid_platform")
    try:
        return _together(shares)
    finally:
        owner.execute("DROP TABLE plain_logs")


def _make_runs(count: int, name: str) -> list[AgentRun]:
    """Of several tenants, each live, with money and a token."""
    runs = []
    for first in range(0, count, 20):
        tenant = make_tenant()
        for number in range(first, min(first + 20, count)):
            run = make_run(tenant, token=f"{name}-{number}")
            open_escrow(run=run, wanted_usd=Decimal(1000))
            runs.append(run)
    return runs


def _together(shares: list[Share]) -> Tally:
    whole = Tally()
    for tally in run_crowd(_take_part, shares):
        whole.add(tally)
    return whole


def _take_part(member: Member, share: Share) -> Tally:
    if share.is_gateway:
        return asyncio.run(_settle_calls(member, share))
    if share.is_indexer:
        return _make_searchable(member, share)
    # Before the pool is there: it is made at the first question.
    settings.DATABASES["default"]["OPTIONS"]["pool"]["max_size"] = share.connections
    with platform():
        runs = list(AgentRun.objects.filter(pk__in=share.run_ids).order_by("pk"))
    connections["default"].close()
    member.wait_for_all()
    work = _copy_plainly if share.is_plain else _write_log
    whole = Tally()
    with ThreadPoolExecutor(len(runs)) as pool:
        for tally in pool.map(lambda run: work(run, share.seconds), runs):
            whole.add(tally)
    if not share.is_plain:
        whole.waits = _pool_waits(share.connections)
    return whole


def _pool_waits(connections_wanted: int) -> Waits:
    pool = connections["default"].pool  # type: ignore[attr-defined]  # of PostgreSQL's wrapper
    assert isinstance(pool, ConnectionPool)
    assert pool.max_size == connections_wanted
    return Waits.of_counts(pool.get_stats())


def _ticks(seconds: float, tally: Tally) -> Iterator[range]:
    """Numbers of the lines that a spool gained since the last look, until everything that was offered is taken."""
    began, taken = time.monotonic(), 0
    wanted = int(seconds * LOG_ROWS_PER_SECOND)
    # Agents do not print in step.
    time.sleep(threading.get_native_id() % 100 / 100 * TICK_SECONDS)
    while taken < wanted:
        there = min(wanted, int((time.monotonic() - began) * LOG_ROWS_PER_SECOND))
        if there > taken:
            yield range(taken + 1, there + 1)
            taken = there
        time.sleep(TICK_SECONDS)
    tally.behind_seconds = max(0.0, time.monotonic() - began - seconds)


def _write_log(run: AgentRun, seconds: float) -> Tally:
    tally = Tally()
    for numbers in _ticks(seconds, tally):
        now = datetime.now(UTC)
        lines = [
            LogLine(number, LogKind.EVENT, LINE.format(number, "middle", run.pk), {"event": "text"}, now)
            for number in numbers
        ]
        begin = time.monotonic()
        try:
            # As a worker's thread between two looks: its connection goes back to the pool, which is smaller than
            # the number of runs.
            with released_connections():
                write_lines(run, lines)
        except Exception as error:  # whatever it is, it is counted, and the run goes on
            tally.errors.append(f"{type(error).__name__}: {error}")
        else:
            tally.rows += len(lines)
        tally.seconds.append(time.monotonic() - begin)
    return tally


def _copy_plainly(run: AgentRun, seconds: float) -> Tally:
    """The least that could be done: a connection of one's own, COPY, commit; no key, no index, no trigger."""
    tally, alias = Tally(), settings.DATABASES["default"]
    with psycopg.connect(
        host=alias["HOST"],
        port=alias["PORT"],
        user=alias["USER"],
        password=alias["PASSWORD"],
        dbname=alias["NAME"],
        options="-c role=paid_platform",
    ) as connection:
        for numbers in _ticks(seconds, tally):
            now, begin = datetime.now(UTC), time.monotonic()
            with connection.cursor().copy(PLAIN_COPY) as copy:
                for number in numbers:
                    text = LINE.format(number, "middle", run.pk)
                    copy.write_row(
                        (run.account_id, run.created_at, run.pk, number, "event", text, '{"event": "text"}', now)
                    )
            connection.commit()
            tally.rows += len(numbers)
            tally.seconds.append(time.monotonic() - begin)
    return tally


def _make_searchable(member: Member, share: Share) -> Tally:
    """The indexer behind the writers, as the beat starts it, on what they write and what was left before."""
    end, tally = member.wait_for_all() + share.seconds, Tally()
    while time.monotonic() < end:
        for notes in index_backlog():
            tally.rows += notes
            if time.monotonic() > end:
                return tally
        time.sleep(INDEXER_SECONDS)
    return tally


async def _settle_calls(member: Member, share: Share) -> Tally:
    """One gateway: each run asks its model once a second; held before, settled after, as the gateway does it."""
    ledger, tally = Ledger("bench", pool_size=GATEWAY_CONNECTIONS), Tally()
    poster = Poster(ledger)
    await ledger.open()
    try:
        await asyncio.to_thread(member.wait_for_all)
        calls = (_call_for(number, ledger, poster, share, tally) for number in range(len(share.run_ids)))
        await asyncio.gather(*calls)
        await poster.finish()
        tally.waits = Waits.of_counts(ledger.pool_counts())
    finally:
        await ledger.close()
    return tally


async def _call_for(number: int, ledger: Ledger, poster: Poster, share: Share, tally: Tally) -> None:
    token_hash = hashlib.sha256(f"crowd-{number}".encode()).digest()
    request = MessagesRequest(b"x" * 4000, "scripted-demo", 500)
    await asyncio.sleep(number % 100 / 100 / CALLS_PER_SECOND)
    for _ in range(int(share.seconds * CALLS_PER_SECOND) or 1):
        begin = time.monotonic()
        try:
            admission = await ledger.admit(token_hash, request.model)
            if admission is None:
                raise LookupError(f"the token of run {share.run_ids[number]} is not known")  # noqa: TRY301 - counted below
            request_id = uuid4()
            hold = await ledger.open_call(request_id, admission, request)
            if hold.refusal:
                raise LookupError(f"refused: {hold.refusal}")  # noqa: TRY301 - counted below
            settling = time.monotonic()
            await ledger.settle(Settlement(request_id, admission.run_created_at, TOKENS, "msg", is_estimated=False))
            poster.due()
        except Exception as error:  # whatever it is, it is counted, and the run goes on
            tally.errors.append(f"{type(error).__name__}: {error}")
        else:
            tally.rows += 1
            tally.seconds.append(time.monotonic() - settling)
        await asyncio.sleep(max(0.0, begin + 1 / CALLS_PER_SECOND - time.monotonic()))


def _one(connection: "psycopg.Connection[Any]", query: str) -> tuple[Any, ...]:
    row: tuple[Any, ...] | None = connection.execute(query).fetchone()
    if row is None:
        raise LookupError(query)
    return row
