"""What is acknowledged is in the database; what is not is read again from the spool; and nobody waits for others."""

import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import psycopg
import pytest
from django.db import connection, transaction
from psycopg.errors import AdminShutdown

from agent_runs.log_search import LogQuestion, index_backlog, search_log
from agent_runs.log_sharing import LEADERS
from agent_runs.logs import PARTS_PER_LINE, LogLine, write_lines
from agent_runs.models import AgentRun, AgentRunLog, LogKind
from agent_runs.spool import SPOOL_NAME, SpoolWriter
from paid.lib.tenancy import platform, tenant
from tests.agent_runs.processes import wait_until
from tests.database import owner_connection
from tests.factories.agent_runs import AgentRunFactory
from tests.factories.projects import IssueFactory, ProjectFactory
from workflows.activities.spool_tail import SpoolTail

AT = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
WRITERS, BATCHES, ROWS = 100, 3, 20
BLOCKED_BY = "SELECT pid FROM pg_stat_activity WHERE %s = ANY (pg_blocking_pids(pid))"
SAME_ROW = """
INSERT INTO agent_run_logs (account_id, run_created_at, agent_run_id, seq, kind, content, metadata, created_at)
VALUES (%s, %s, %s, %s, 'stderr', 'of another attempt', '{}', now())
"""


def spool(directory: Path, lines: list[str]) -> None:
    writer = SpoolWriter(str(directory), 2**40)
    for line in lines:
        writer.write("stderr", line)
    writer.close()


def contents(run: AgentRun) -> list[str]:
    with platform():
        rows = AgentRunLog.objects.filter(agent_run_id=run.pk, run_created_at=run.created_at).order_by("seq")
        return [row.content for row in rows]


def terminate_whom(blocking_pid: int) -> None:
    """End the backend that waits for this one. Only the role that logged in may do so, not what it has become."""
    with owner_connection() as watcher:
        watcher.autocommit = True
        wait_until(lambda: bool(watcher.execute(BLOCKED_BY, [blocking_pid]).fetchall()))
        waiting = watcher.execute(BLOCKED_BY, [blocking_pid]).fetchall()
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL ROLE NONE")
        cursor.execute("SELECT pg_terminate_backend(%s)", [int(str(waiting[0][0]))])
        assert cursor.fetchone() == (True,)


@pytest.fixture
def another_attempt(transactional_db: None) -> Iterator[psycopg.Connection[tuple[object, ...]]]:
    other = owner_connection()
    try:
        yield other
    finally:
        other.close()


def test_a_writer_that_is_cut_off_before_its_commit_loses_nothing(
    another_attempt: psycopg.Connection[tuple[object, ...]], tmp_path: Path
):
    """Another attempt holds a row of the batch, so that COPY is in the middle of its rows when its backend is ended."""
    run = AgentRunFactory()
    spool(tmp_path, ["one", "two", "three"])
    another_attempt.execute(SAME_ROW, [run.account_id, run.created_at, run.pk, 3 * PARTS_PER_LINE])
    tail = SpoolTail(run, str(tmp_path))

    def read() -> None:
        try:
            tail.read()
        finally:
            connection.close()

    with ThreadPoolExecutor(1) as thread:
        reading = thread.submit(read)
        try:
            terminate_whom(another_attempt.info.backend_pid)
            with pytest.raises(AdminShutdown):
                reading.result(30)
        finally:
            another_attempt.rollback()

    assert (tail.offset, contents(run)) == (0, [])
    again = SpoolTail(run, str(tmp_path))
    again.read_to_end()
    assert contents(run) == ["one", "two", "three"]
    assert again.offset == (tmp_path / SPOOL_NAME).stat().st_size


def test_runs_that_wait_for_another_attempts_rows_hold_up_no_other_run(
    another_attempt: psycopg.Connection[tuple[object, ...]],
):
    """A worker that is frozen in the middle of its transactions: its runs come here, and others are here already."""
    first = AgentRunFactory()
    same = {"project": first.project, "prompt_version": first.prompt_version, "language_model": first.language_model}
    *waiting, other = (AgentRunFactory(issue=IssueFactory(project=first.project), **same) for _ in range(LEADERS + 1))
    for run in waiting:
        another_attempt.execute(SAME_ROW, [run.account_id, run.created_at, run.pk, PARTS_PER_LINE])

    def write(run: AgentRun) -> None:
        try:
            write_lines(run, [LogLine(1, LogKind.STDOUT, "its own", {}, AT)])
        finally:
            connection.close()

    with ThreadPoolExecutor(LEADERS + 1) as threads, owner_connection() as watcher:
        try:
            held_up = [threads.submit(write, run) for run in waiting]
            blocked = [another_attempt.info.backend_pid]
            watcher.autocommit = True
            wait_until(lambda: len(watcher.execute(BLOCKED_BY, blocked).fetchall()) == len(waiting))
            threads.submit(write, other).result(20)
            assert not any(each.done() for each in held_up)
        finally:
            another_attempt.rollback()
        for each in held_up:
            each.result(20)
    assert [contents(run) for run in (*waiting, other)] == [["its own"]] * (LEADERS + 1)


@pytest.mark.django_db
def test_the_tail_takes_a_bounded_piece_of_a_long_spool_and_no_more_until_it_is_written(tmp_path: Path):
    run = AgentRunFactory()
    spool(tmp_path, [f"{number} " + "x" * 7_900 for number in range(1_200)])
    tail = SpoolTail(run, str(tmp_path))
    steps: list[int] = []
    written = 0
    while tail.read():
        steps.append(tail.offset - sum(steps))
        found = contents(run)
        # Whatever was read is in the database before anything more is read.
        assert (tmp_path / SPOOL_NAME).read_bytes()[: tail.offset].count(b"\n") == len(found) > written
        written = len(found)
    assert written == 1_200
    assert len(steps) == 3
    assert max(steps) <= 4 * 1024 * 1024


@pytest.mark.django_db(transaction=True)
def test_rdr_003_scenario_4_100_concurrent_agent_runs_writing_logs(monkeypatch: pytest.MonkeyPatch):
    # The hundred share sixteen connections: on a slow machine the last ones wait for longer than a page would.
    connection.ensure_connection()
    monkeypatch.setattr(connection.pool, "timeout", 300)  # type: ignore[attr-defined]
    project = ProjectFactory()
    issue = IssueFactory(project=project)
    first = AgentRunFactory(project=project, issue=issue)
    same = {"prompt_version": first.prompt_version, "language_model": first.language_model}
    with platform():
        runs = [
            first,
            *(AgentRunFactory(project=project, issue=IssueFactory(project=project), **same) for _ in range(99)),
        ]
    barrier = threading.Barrier(WRITERS)

    def agent(run: AgentRun) -> None:
        barrier.wait(60)
        try:
            for batch in range(BATCHES):
                numbers = range(batch * ROWS + 1, (batch + 1) * ROWS + 1)
                write_lines(run, [LogLine(n, LogKind.STDOUT, f"run {run.pk} line {n}", {}, AT) for n in numbers])
                # The indexer and a reader are at it meanwhile, as they are in production.
                if run.pk % 20 == 0:
                    list(index_backlog(max_steps=1))
                    with tenant(run.account_id):
                        assert len(search_log(LogQuestion(f'"run {run.pk}"'), size=500).rows) == (batch + 1) * ROWS
        finally:
            connection.close()

    with ThreadPoolExecutor(WRITERS) as threads:
        assert list(threads.map(agent, runs, timeout=600)) == [None] * WRITERS

    expected = {run.pk: [f"run {run.pk} line {n}" for n in range(1, BATCHES * ROWS + 1)] for run in runs}
    assert {run.pk: contents(run) for run in runs} == expected
    list(index_backlog())
    with tenant(project.account_id):
        assert len(search_log(LogQuestion(f'"run {first.pk} line 7"'), size=50).rows) == 1
