"""Logs: the writer beside raw COPY, a page of the longest log, the search, and the indexer behind the writer."""

import time
from collections.abc import Iterator
from datetime import UTC, datetime
from itertools import count

from django.db import connection

from agent_runs.log_search import LogQuestion, index_backlog, search_log
from agent_runs.logs import PARTS_PER_LINE, LogLine, last_seq, write_lines
from agent_runs.models import AgentRun, LogKind
from agent_runs.querysets import log_rows
from dashboard.views.run_log import PAGE_ROWS, first_rows
from tests.bench.context import Bench
from tests.bench.figures import Figure, Timings, below, measure, ratio_at_least, time_calls

BATCH_ROWS = 2_000
# The same table, partitioned and keyed the same, without trigger, index of words or anything else of ours.
PLAIN_TABLE = """
CREATE TABLE bench_logs (LIKE agent_run_logs INCLUDING ALL) PARTITION BY RANGE (run_created_at);
CREATE TABLE bench_logs_rest PARTITION OF bench_logs DEFAULT;
GRANT INSERT ON bench_logs TO paid_platform
"""
PLAIN_PAGE = """
SELECT * FROM agent_run_logs WHERE run_created_at = %s AND agent_run_id = %s AND seq > %s ORDER BY seq LIMIT %s
"""
PLAIN_SEARCH = """
SELECT * FROM agent_run_logs
WHERE account_id = %s AND run_created_at >= now() - interval '7 days' AND content LIKE %s
ORDER BY run_created_at DESC, agent_run_id DESC, seq DESC LIMIT 50
"""
COLUMNS = "(account_id, run_created_at, agent_run_id, seq, kind, content, metadata, created_at)"


@measure("write")
def writer(bench: Bench) -> Iterator[Figure]:
    """Batches in turns, ours and raw COPY of the same bytes, so that a busy machine is busy for both."""
    run = AgentRun(
        pk=bench.world.longest_run.run_id,
        account_id=bench.world.account_id,
        created_at=bench.world.longest_run.created_at,
    )
    first, batches = last_seq(run) + 1, max(3, int(bench.sizes.seconds))
    ours: list[float] = []
    raw: list[float] = []
    with bench.connect("owner") as owner, bench.connect("platform") as plain:
        owner.execute(PLAIN_TABLE)
        try:
            for number in range(batches):
                lines = _lines(first + number * BATCH_ROWS)
                text = _text(run, lines)
                begin = time.perf_counter()
                with plain.cursor() as cursor, cursor.copy(f"COPY bench_logs {COLUMNS} FROM STDIN") as copy:
                    copy.write(text)
                raw.append(time.perf_counter() - begin)
                begin = time.perf_counter()
                write_lines(run, lines)
                ours.append(time.perf_counter() - begin)
        finally:
            owner.execute("DROP TABLE bench_logs")
    yield Figure(
        "log rows/s through the writer, one process",
        BATCH_ROWS / (Timings.of_seconds(ours).p50_ms / 1000),
        "rows/s",
        ratio_at_least(0.7),
        BATCH_ROWS / (Timings.of_seconds(raw).p50_ms / 1000),
        "raw COPY of ready bytes into the same partitioned table",
        f"batches of {BATCH_ROWS:,}, medians",
        {"ours": Timings.of_seconds(ours).details, "raw": Timings.of_seconds(raw).details},
    )
    begin = time.perf_counter()
    list(index_backlog())
    yield Figure(
        "log rows/s through the indexer behind it",
        batches * BATCH_ROWS / (time.perf_counter() - begin),
        "rows/s",
        note="made searchable afterwards, by a task of its own",
    )


def _lines(first: int) -> list[LogLine]:
    now = datetime.now(UTC)
    content = "src/module_{}.py:{} the parser expected a closing bracket in line {} of case {}, got another word"
    metadata = {"event": "tool_result", "data": {"message_id": "msg_01"}}
    return [
        LogLine(seq, LogKind.EVENT, content.format(seq % 300, seq, seq % 77, seq), metadata, now)
        for seq in range(first, first + BATCH_ROWS)
    ]


def _text(run: AgentRun, lines: list[LogLine]) -> bytes:
    metadata = '{"event": "tool_result", "data": {"message_id": "msg_01"}}'
    rows = (
        f"{run.account_id}\t{run.created_at.isoformat()}\t{run.pk}\t{line.seq * PARTS_PER_LINE}\t{line.kind.value}\t"
        f"{line.content}\t{metadata}\t{line.at.isoformat()}\n"
        for line in lines
    )
    return "".join(rows).encode()


@measure()
def page_of_a_run(bench: Bench) -> Iterator[Figure]:
    """Pages from all over the longest log, by the key that a page's address carries."""
    longest = bench.world.longest_run
    run = AgentRun(pk=longest.run_id, account_id=bench.world.account_id, created_at=longest.created_at)
    starts, rows = count(0), PAGE_ROWS + 1
    step = max(1, longest.log_rows // 40) * PARTS_PER_LINE

    def start() -> int:
        return next(starts) % 40 * step

    with bench.as_tenant():
        query = str(log_rows(run).query)
        ours = time_calls(lambda: list(log_rows(run, after=start())[:rows]), samples=200)
        shown = time_calls(lambda: first_rows(run, after=start()), samples=80)
    with bench.connect("owner") as plain:
        # As Django asks, too: prepared, it would be planned for any day, and look into all of them.
        plain.prepare_threshold = None
        asked = [longest.created_at, longest.run_id]
        base = time_calls(lambda: plain.execute(PLAIN_PAGE, [*asked, start(), rows]).fetchall(), samples=200)
    yield Figure(
        f"a page of one run's log: {PAGE_ROWS} rows, as the run's page reads them, p95",
        ours.p95_ms,
        "ms",
        below(5),
        base.p95_ms,
        "SQL without a policy",
        f"a run of {longest.log_rows:,} rows",
        ours.details | {"query": query, "baseline": base.details},
    )
    yield Figure("the same as lines of HTML, p95", shown.p95_ms, "ms", note="read and escaped", details=shown.details)


@measure()
def search(bench: Bench) -> Iterator[Figure]:
    """As `paid_tenant`, seven days, the first page of the search's page."""
    with bench.connect("owner") as plain:
        asked = [bench.world.account_id, f"%{bench.world.rare_word}%"]
        base = time_calls(lambda: plain.execute(PLAIN_SEARCH, asked).fetchall(), samples=1, warm=0)
    with bench.as_tenant():
        for kind, word in (("a rare word", bench.world.rare_word), ("a frequent word", bench.world.common_word)):
            question = LogQuestion(word)
            found = search_log(question, size=50)
            ours = time_calls(lambda question=question: search_log(question, size=50), samples=40)  # type: ignore[misc]
            yield Figure(
                f"log search, {kind}, 7 days, p95",
                ours.p95_ms,
                "ms",
                below(100) if kind == "a rare word" else None,
                base.p95_ms if kind == "a rare word" else None,
                "LIKE over the rows, which no index serves" if kind == "a rare word" else "",
                note=f"{len(found.rows)} hits on the page, {bench.sizes.log_rows:,} rows seeded",
                details=ours.details,
            )
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user")
            assert cursor.fetchone() == ("paid_tenant",)
