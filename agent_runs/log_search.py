"""Full text of the log: the indexer behind the writer, and the search as the tenant sees it."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from itertools import count
from typing import Any

from django.db import connection

from agent_runs.models import AgentRun, AgentRunLog
from paid.lib.sql import statement
from paid.lib.tenancy import platform

# Spans that the indexer takes in one transaction: about a second's work at the rate of a hundred busy runs.
SPANS_PER_STEP = 100
# How many rows one search looks at before it shows what it has and offers to go on: half a second's work.
MAX_ROWS_SEEN = 20_000
DEFAULT_DAYS = 7
MAX_DAYS = 100


class UnsearchableWords(ValueError):
    """The words ask for nothing that can be looked up: the message says what is missing."""


@dataclass(frozen=True)
class LogPosition:
    """Below which row a page of hits starts. `str()` and `parse` are the form in URLs."""

    run_created_at: datetime
    run_id: int
    seq: int

    def __str__(self) -> str:
        return f"{self.run_created_at.isoformat()}~{self.run_id}~{self.seq}"

    @classmethod
    def parse(cls, text: str) -> "LogPosition | None":
        moment, _, numbers = text.partition("~")
        run_id, _, seq = numbers.partition("~")
        try:
            position = cls(datetime.fromisoformat(moment), int(run_id), int(seq))
        except ValueError:
            return None
        is_whole = position.run_created_at.tzinfo is not None and 0 < position.run_id < 2**63
        return position if is_whole and 0 <= position.seq < 2**63 else None


@dataclass(frozen=True)
class LogQuestion:
    """What is searched for: words as `websearch_to_tsquery` reads them, in runs that started on these days (UTC)."""

    words: str
    since: date | None = None
    until: date | None = None
    project_id: int | None = None
    run: AgentRun | None = None
    kind: str = ""

    def bounds(self) -> tuple[datetime, datetime]:
        """The first instant and the one behind the last; a week by default, and never more than the log is kept."""
        if self.run is not None:
            return self.run.created_at, self.run.created_at + timedelta(microseconds=1)
        last = min(self.until or date.max, datetime.now(UTC).date())
        first = max(self.since or last - timedelta(days=DEFAULT_DAYS - 1), last - timedelta(days=MAX_DAYS))
        return datetime.combine(first, time.min, UTC), datetime.combine(last, time.min, UTC) + timedelta(days=1)


@dataclass(frozen=True)
class LogHits:
    """Rows that match, newest first. `next_position` None: there are no more; `is_complete` False: there may be, the
    search stopped after MAX_ROWS_SEEN rows."""

    rows: list[AgentRunLog]
    next_position: LogPosition | None
    is_complete: bool


def search_log(question: LogQuestion, *, before: LogPosition | None = None, size: int) -> LogHits:
    """One page of hits in the account of the running context. Raises UnsearchableWords.

    Served by the index over (account, words) of agent_run_log_chunks, a day's partition after the other, and by a
    look at the rows themselves for what the indexer has not got to.
    """
    since, until = question.bounds()
    position = (before.run_created_at, before.run_id, before.seq) if before else (None, None, None)
    run_id = question.run.pk if question.run else None
    with connection.cursor() as cursor:
        cursor.execute(
            statement("agent_runs", "log_search_queries", "search"),
            [
                question.words.replace("\0", " "),
                since,
                until,
                question.project_id,
                run_id,
                question.kind or None,
                *position,
                size,
                MAX_ROWS_SEEN,
            ],
        )
        found = cursor.fetchall()
    if found and found[-1][0] in _REFUSALS:
        raise UnsearchableWords(_REFUSALS[found[-1][0]])
    hits = [_row(values) for outcome, *values in found if outcome == "hit"]
    next_position = LogPosition(*found[-1][1:4]) if found and found[-1][0] == "more" else None
    return LogHits(hits, next_position, is_complete=next_position is None or len(hits) == size)


_REFUSALS = {
    "none": "There is no word in this: type letters or digits, such as a name or a number.",
    "open": "This only says what a line must not hold: add a word that it must hold.",
}


def _row(values: list[Any]) -> AgentRunLog:
    run_created_at, run_id, seq, kind, content, metadata, created_at = values
    return AgentRunLog(
        run_created_at=run_created_at,
        agent_run_id=run_id,
        seq=seq,
        kind=kind,
        content=content,
        metadata=json.loads(metadata),  # Django hands jsonb of a cursor of its own on as text
        created_at=created_at,
    )


def index_backlog(*, max_steps: int | None = None) -> Iterator[int]:
    """Make what the writers added searchable by index; yields how many spans each step took, until none are left.

    Each step is one transaction. When another process is at it, nothing is done: it takes these spans too.
    """
    for step in count(1):
        with platform(), connection.cursor() as cursor:
            cursor.execute("SELECT index_log_backlog(%s)", [SPANS_PER_STEP])
            taken = int(cursor.fetchone()[0])
        if taken == 0:
            return
        yield taken
        if step == max_steps:
            return
