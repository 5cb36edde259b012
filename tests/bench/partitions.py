"""Retention of a large partition while tenants read: how long it takes, and how long a reader waits for it at most."""

import io
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from datetime import datetime, timedelta
from functools import partial

import psycopg.sql
from django.core.management import call_command
from django.db import connections

from agent_runs.models import AgentRun
from agent_runs.querysets import log_rows
from tests.bench.context import Bench
from tests.bench.figures import Figure, Timings, below, measure

READERS = 2
PAGE = 200
QUIET_SECONDS = 2.0
# Copied as often as it takes, into one day of long ago; each copy continues the numbers of the one before. Halves are
# written side by side and number theirs apart.
HALVES = 2
FILL = """
INSERT INTO {partition} (account_id, run_created_at, agent_run_id, seq, kind, content, metadata, created_at)
SELECT account_id, %(day)s, agent_run_id, seq + (copy * 2 + %(half)s) * 10000000000, kind, content, metadata, created_at
FROM generate_series(1, 1 + %(rows)s / (SELECT count(*) FROM agent_run_logs)) AS copy, agent_run_logs
WHERE run_created_at > %(day)s + interval '1 day'
LIMIT %(rows)s
"""


@measure("drop")
def retention(bench: Bench) -> Iterator[Figure]:
    partition, size = _old_partition(bench, bench.sizes.retention_rows)
    by_delete = _seconds_of_delete(bench, partition, bench.sizes.retention_rows)
    quiet: list[float] = []
    with _reading(bench, quiet):
        time.sleep(min(QUIET_SECONDS, bench.sizes.seconds))
    waits: list[float] = []
    said = io.StringIO()
    with _reading(bench, waits):
        begin = time.perf_counter()
        call_command("retention", "--json", stdout=said)
        took = time.perf_counter() - begin
    dropped = json.loads(said.getvalue())["dropped"]
    if len(dropped) != 1:
        raise AssertionError(f"one partition should have been dropped, not {dropped}")
    rows = f"{bench.sizes.retention_rows:,} rows"
    yield Figure(
        f"retention of a partition of {rows}",
        took,
        "s",
        below(1),
        by_delete,
        "DELETE of the same rows, from a tenth of them, before any VACUUM",
        f"{size / 2**20:,.0f} MiB; the whole command, with its look at all other tables",
    )
    base, longest = Timings.of_seconds(quiet), Timings.of_seconds(waits)
    yield Figure(
        "longest wait of a reader meanwhile",
        longest.sorted_ms[-1],
        "ms",
        below(100),
        base.sorted_ms[-1],
        "the longest before it",
        f"{READERS} readers of {PAGE} log rows each, {len(waits)} pages read during it",
        {"during": longest.details, "before": base.details},
    )


def _seconds_of_delete(bench: Bench, partition: str, rows: int) -> float:
    """What deleting row by row would take, measured on a tenth of the rows and taken back."""
    some = psycopg.sql.SQL("DELETE FROM {0} WHERE ctid = ANY (ARRAY(SELECT ctid FROM {0} LIMIT %s))")
    with bench.connect("owner") as owner, owner.transaction(force_rollback=True):
        begin = time.perf_counter()
        owner.execute(some.format(psycopg.sql.Identifier(partition)), [max(rows // 10, 1)])
        took = time.perf_counter() - begin
    return took * 10


def _old_partition(bench: Bench, rows: int) -> tuple[str, int]:
    """Fills a partition whose time is over; gives its name and its size in bytes."""
    day = (bench.world.seeded_at - timedelta(days=120)).replace(hour=0, minute=0, second=0, microsecond=0)
    partition = f"agent_run_logs_p{day:%Y%m%d}"
    with bench.connect("owner") as owner:
        owner.execute("SELECT create_partitions('agent_run_logs', %s, %s)", [day, day])
        began = time.monotonic()
        with ThreadPoolExecutor(HALVES) as pool:
            list(pool.map(partial(_fill, bench, partition, day, rows // HALVES), range(HALVES)))
        owner.execute(f"ANALYZE {partition}")
        bench.say(f"  a partition of {rows:,} rows: {time.monotonic() - began:.1f} s")
        size = owner.execute("SELECT pg_total_relation_size(%s::regclass)", [partition]).fetchone()
    return partition, int(size[0]) if size else 0


def _fill(bench: Bench, partition: str, day: datetime, rows: int, half: int) -> None:
    """Straight into the partition: rows of that age have no run here, which the parent's trigger would ask for."""
    with bench.connect("owner") as owner:
        owner.execute(FILL.format(partition=partition), {"day": day, "rows": rows, "half": half})


@contextmanager
def _reading(bench: Bench, seconds: list[float]) -> Iterator[None]:
    """Tenants who read pages of a log without pause; how long each took is added to `seconds`."""
    stop = threading.Event()

    def read() -> None:
        world = bench.world
        run = AgentRun(
            pk=world.longest_run.run_id, account_id=world.account_id, created_at=world.longest_run.created_at
        )
        try:
            while not stop.is_set():
                begin = time.perf_counter()
                with bench.as_tenant():
                    list(log_rows(run)[:PAGE])
                seconds.append(time.perf_counter() - begin)
        finally:
            connections.close_all()

    readers = [threading.Thread(target=read) for _ in range(READERS)]
    for reader in readers:
        reader.start()
    try:
        yield
    finally:
        stop.set()
        for reader in readers:
            reader.join()
