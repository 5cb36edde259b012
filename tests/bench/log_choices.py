"""The choices of decisions 0023 and 0024 once more: COPY or INSERT from arrays, and when words are indexed.

Not part of a whole bench: `--only log-choices`. Everything is written as `paid_platform`, into a table that is
partitioned and keyed as the log is; only what is as shipped goes into the log itself.
"""

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Any

import psycopg

from agent_runs.log_search import index_backlog
from agent_runs.logs import LogLine, last_seq, write_lines
from agent_runs.models import AgentRun, LogKind
from tests.bench.context import Bench
from tests.bench.figures import Figure, Timings, measure

# Batches of so many rows, and how many of each.
BATCHES = ((200, 100), (2_000, 20), (10_000, 6))
INDEXED_BATCH, MOST_INDEXED = 1_000, 100_000
TABLE = """
CREATE TABLE bench_choices (LIKE agent_run_logs INCLUDING ALL) PARTITION BY RANGE (run_created_at);
CREATE TABLE bench_choices_rest PARTITION OF bench_choices DEFAULT;
GRANT INSERT ON bench_choices TO paid_platform
"""
TRIGGER = """
CREATE TRIGGER agent_run_logs_added AFTER INSERT ON bench_choices REFERENCING NEW TABLE AS added
  FOR EACH STATEMENT EXECUTE FUNCTION agent_run_logs_added()
"""
INDEX = "CREATE INDEX bench_words ON bench_choices USING gin (account_id, log_words(content))"
LIVE_INDEX = INDEX + " WITH (fastupdate = on, gin_pending_list_limit = {kib})"
COPY = """
COPY bench_choices (account_id, run_created_at, agent_run_id, seq, kind, content, metadata, created_at) FROM STDIN
"""
UNNEST = """
INSERT INTO bench_choices (account_id, run_created_at, agent_run_id, seq, kind, content, metadata, created_at)
SELECT %s, %s, %s, seq, kind, content, metadata, at
FROM unnest(%s::bigint[], %s::text[], %s::text[], %s::jsonb[], %s::timestamptz[])
  AS line (seq, kind, content, metadata, at)
"""
CONTENTS = "SELECT content FROM agent_run_logs WHERE run_created_at >= now() - interval '8 days' LIMIT %s"
METADATA = '{"event": "tool_result"}'

Plain = psycopg.Connection[Any]
Write = Callable[[Plain, AgentRun, int, Sequence[str]], None]


@measure("write")
def ways_to_write(bench: Bench) -> Iterator[Figure]:
    run, contents = _run(bench), _contents(bench, 10_000)
    for batch, batches in BATCHES:
        base: float | None = None
        for name, write, has_trigger in (
            ("COPY, without a trigger", _copy, False),
            ("COPY, with the trigger that checks and notes", _copy, True),
            ("INSERT from arrays, without a trigger", _insert, False),
            ("INSERT from arrays, with the trigger", _insert, True),
        ):
            with _table(bench, TRIGGER if has_trigger else "") as plain:
                taken = _repeated(plain, write, run, contents, batch, min(batches, _most(bench) // batch or 1))
            rate = batch / (taken.p50_ms / 1000)
            yield Figure(
                f"log written by {name}, batches of {batch:,}",
                rate,
                "rows/s",
                baseline=base,
                baseline_is="COPY without a trigger" if base else "",
                details=taken.details,
            )
            base = base or rate
    list(index_backlog())  # takes away what the trigger noted


@measure("write")
def when_words_are_indexed(bench: Bench) -> Iterator[Figure]:
    run, rows = _run(bench), _most(bench)
    contents, batches = _contents(bench, rows), max(1, rows // INDEXED_BATCH)
    with _table(bench, TRIGGER) as plain:
        taken = _repeated(plain, _copy, run, contents, INDEXED_BATCH, batches)
    base = _rate(taken)
    yield _of_words("not by the writer", taken, None)
    list(index_backlog())
    for mebibytes in (4, 64):
        with _table(bench, TRIGGER, LIVE_INDEX.format(kib=mebibytes * 1024)) as plain:
            taken = _repeated(plain, _copy, run, contents, INDEXED_BATCH, batches)
        yield _of_words(f"in a GIN of each row, pending list of {mebibytes} MB", taken, base)
    with _table(bench, "") as plain, bench.connect("owner") as owner:
        _repeated(plain, _copy, run, contents, INDEXED_BATCH, batches)
        began = time.perf_counter()
        owner.execute(INDEX)
        seconds = time.perf_counter() - began
    yield Figure("words indexed in a GIN of each row, at once when a day is over", rows / seconds, "rows/s")
    list(index_backlog())
    _write_log(run, contents)
    began = time.perf_counter()
    list(index_backlog())
    seconds = time.perf_counter() - began
    yield Figure("words indexed in chunks of 64 rows behind the writer, as shipped", rows / seconds, "rows/s")


def _of_words(name: str, taken: Timings, base: float | None) -> Figure:
    return Figure(
        f"log written, words indexed {name}",
        _rate(taken),
        "rows/s",
        baseline=base,
        baseline_is="not by the writer" if base else "",
        note=f"batches of {INDEXED_BATCH:,}: p99 {taken.p99_ms:.3g} ms, longest {taken.sorted_ms[-1]:.3g} ms",
        details=taken.details,
    )


def _rate(taken: Timings) -> float:
    """Over all batches: what one in a hundred waits for belongs to it."""
    return INDEXED_BATCH * len(taken.sorted_ms) / (sum(taken.sorted_ms) / 1000)


def _most(bench: Bench) -> int:
    return min(MOST_INDEXED, max(INDEXED_BATCH, bench.sizes.log_rows // 10))


def _run(bench: Bench) -> AgentRun:
    longest = bench.world.longest_run
    return AgentRun(pk=longest.run_id, account_id=bench.world.account_id, created_at=longest.created_at)


def _contents(bench: Bench, rows: int) -> list[str]:
    """Seeded lines, whose words are as unlike as those of logs; again from the first where there are too few."""
    with bench.connect("owner") as owner:
        found = [row[0] for row in owner.execute(CONTENTS, [rows]).fetchall()]
    return [found[number % len(found)] for number in range(rows)]


@contextmanager
def _table(bench: Bench, *statements: str) -> Iterator[Plain]:
    """An empty table for one way, and a connection of the platform's that writes into it."""
    with bench.connect("owner") as owner, bench.connect("platform") as plain:
        owner.execute(TABLE)
        try:
            for text in filter(None, statements):
                owner.execute(text)
            yield plain
        finally:
            owner.execute("DROP TABLE bench_choices")


def _repeated(plain: Plain, write: Write, run: AgentRun, contents: Sequence[str], batch: int, batches: int) -> Timings:
    taken = []
    for number in range(batches):
        first = number * batch
        some = [contents[place % len(contents)] for place in range(first, first + batch)]
        began = time.perf_counter()
        write(plain, run, first + 1, some)
        taken.append(time.perf_counter() - began)
    return Timings.of_seconds(taken)


def _copy(plain: Plain, run: AgentRun, first: int, contents: Sequence[str]) -> None:
    at, of_run = datetime.now(UTC).isoformat(), f"{run.account_id}\t{run.created_at.isoformat()}\t{run.pk}"
    rows = (f"{of_run}\t{seq}\tevent\t{text}\t{METADATA}\t{at}\n" for seq, text in enumerate(contents, first))
    with plain.cursor().copy(COPY) as copy:
        copy.write("".join(rows))


def _insert(plain: Plain, run: AgentRun, first: int, contents: Sequence[str]) -> None:
    many = len(contents)
    columns = [
        list(range(first, first + many)),
        ["event"] * many,
        list(contents),
        [METADATA] * many,
        [datetime.now(UTC)] * many,
    ]
    plain.execute(UNNEST, [run.account_id, run.created_at, run.pk, *columns])


def _write_log(run: AgentRun, contents: Sequence[str]) -> None:
    first, now = last_seq(run) + 1, datetime.now(UTC)
    for start in range(0, len(contents), INDEXED_BATCH):
        some = contents[start : start + INDEXED_BATCH]
        write_lines(run, [LogLine(first + start + n, LogKind.EVENT, text, {}, now) for n, text in enumerate(some)])
