"""The run's log in the database: events of the agent become rows, in batches, each once."""

import math
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import Any

from django.db import connection
from django.db.models import Max
from psycopg.errors import LockNotAvailable, UniqueViolation

from agent_runs.contracts import AgentEvent, EventKind
from agent_runs.log_copy import BEGINNING, COPY, END, Row, binary
from agent_runs.log_sharing import SharedWriter
from agent_runs.models import AgentRun, AgentRunLog, LogKind
from paid.lib.tenancy import platform

# Full-text search indexes that much of a row: a longer line becomes several rows, all of them found.
PART_CHARACTERS = 8_000
# Row numbers leave room for the parts of a line, so that the number of a line follows from the spool alone.
# 16 MiB, the longest line that is spooled, fit.
PARTS_PER_LINE = 4_096
BATCH_CHARACTERS = 4 * 1024 * 1024
_METADATA_CHARACTERS = 500
_METADATA_ITEMS = 30
_METADATA_DEPTH = 5
_ATTEMPTS = 3
_PIECE_ROWS = 200
# A batch up to here may share its COPY with those of other runs: what is larger is worth a transaction of its own.
_SHARED_ROWS = 200

_KINDS: dict[EventKind, LogKind] = {
    "stderr": LogKind.STDERR,
    "system": LogKind.SYSTEM,
    "usage": LogKind.METRIC,
    "unknown": LogKind.STDOUT,
}
# The row's content already says it.
_SAID_BY_CONTENT = frozenset({"content", "text", "thinking", "result"})


@dataclass(frozen=True)
class LogLine:
    """`seq` counts the run's lines from 1; the row's number in the database is made of it and the part."""

    seq: int
    kind: LogKind
    content: str
    metadata: Mapping[str, Any]
    at: datetime

    @classmethod
    def of_event(cls, seq: int, event: AgentEvent) -> "LogLine":
        data = {} if event.kind == "unknown" else event.data
        details = {key: value for key, value in data.items() if key not in _SAID_BY_CONTENT}
        metadata = {"event": event.kind} | ({"data": _shortened(details)} if details else {})
        return cls(seq, _KINDS.get(event.kind, LogKind.EVENT), event.text, metadata, event.at)


def last_seq(run: AgentRun) -> int:
    """Number of the last line that is written, 0 when there is none."""
    with platform():
        found = AgentRunLog.objects.filter(run_created_at=run.created_at, agent_run_id=run.pk)
        last = found.aggregate(last=Max("seq"))["last"]
    return 0 if last is None else int(last) // PARTS_PER_LINE


def write_lines(run: AgentRun, lines: Sequence[LogLine]) -> None:
    """Add the lines that are not there yet; a line is written with all of its parts or not at all.

    Waits until the database has them: whoever reads the spool reads no further meanwhile, and nothing piles up
    in memory.
    """
    for batch in _batches(lines):
        _write(run, batch)


def _batches(lines: Sequence[LogLine]) -> Iterator[list[LogLine]]:
    batch: list[LogLine] = []
    characters = 0
    for line in lines:
        batch.append(line)
        characters += len(line.content)
        if characters >= BATCH_CHARACTERS:
            yield batch
            batch, characters = [], 0
    if batch:
        yield batch


def _rows(lines: Iterable[LogLine]) -> Iterator[Row]:
    for line in lines:
        content, seq = line.content, line.seq * PARTS_PER_LINE
        if len(content) <= PART_CHARACTERS:
            yield seq, line.kind, content, line.metadata, line.at
            continue
        parts = [content[start : start + PART_CHARACTERS] for start in range(0, len(content), PART_CHARACTERS)]
        for number, part in enumerate(parts[:PARTS_PER_LINE]):
            metadata = {**line.metadata, "part": number + 1, "parts": len(parts)}
            yield seq + number, line.kind, part, metadata, line.at


def _write(run: AgentRun, lines: Sequence[LogLine]) -> None:
    """COPY takes no ON CONFLICT: when another attempt was here first, what it wrote is left out and COPY repeated."""
    # In a transaction of the caller's nothing is durable before it ends: others must not be told that it is.
    is_shared = len(lines) <= _SHARED_ROWS and not connection.in_atomic_block
    try:
        if is_shared:
            _SHARED.write(binary(run, list(_rows(lines))))
        else:
            _copy(run, _rows(lines))
    except (UniqueViolation, LockNotAvailable):  # Django does not translate the errors of COPY
        _write_missing(run, list(_rows(lines)))


def _write_missing(run: AgentRun, rows: list[Row]) -> None:
    for _ in range(_ATTEMPTS):
        rows = _without_written(run, rows)
        try:
            _copy(run, rows)
        except UniqueViolation:
            continue
        return
    _copy(run, _without_written(run, rows))


def _copy(run: AgentRun, rows: Iterable[Row]) -> None:
    """All of them are durable when this returns, none when it raises.

    In pieces: PostgreSQL parses one on its core while the next is made on ours.
    """
    pieces = iter(rows)
    with platform(), connection.cursor() as cursor, cursor.copy(COPY) as copy:
        copy.write(BEGINNING)
        while piece := binary(run, list(islice(pieces, _PIECE_ROWS))):
            copy.write(piece)
        copy.write(END)


def _copy_group(texts: Sequence[bytes]) -> None:
    """Batches of several runs in one transaction. It gives up its turn rather than wait for a row of another attempt,
    a lone batch as well: a worker that froze in the middle of its transactions holds rows of several runs, for long.
    """
    with platform(), connection.cursor() as cursor:
        cursor.execute("SET LOCAL lock_timeout = '1s'")
        with cursor.copy(COPY) as copy:
            copy.write(b"".join((BEGINNING, *texts, END)))


_SHARED = SharedWriter(_copy_group)


def _without_written(run: AgentRun, rows: list[Row]) -> list[Row]:
    with platform():
        written = set(
            AgentRunLog.objects.filter(
                run_created_at=run.created_at, agent_run_id=run.pk, seq__range=(rows[0][0], rows[-1][0])
            ).values_list("seq", flat=True)
        )
    return [row for row in rows if row[0] not in written]


def storable(text: str) -> str:
    """PostgreSQL stores no NUL, and UTF-8 knows no half of a surrogate pair."""
    return text.replace("\0", "\ufffd").encode("utf-8", errors="replace").decode("utf-8")


def _shortened(value: Any, depth: int = 0) -> Any:
    """Enough of a value to understand the event; whole files stay in the content."""
    if isinstance(value, float) and not math.isfinite(value):
        return str(value)  # Python reads and writes NaN and Infinity, which are no JSON
    if isinstance(value, str):
        return value if len(value) <= _METADATA_CHARACTERS else value[:_METADATA_CHARACTERS] + "…"
    if isinstance(value, dict | list) and depth >= _METADATA_DEPTH:
        return "…"
    if isinstance(value, dict):
        return {str(key): _shortened(item, depth + 1) for key, item in list(value.items())[:_METADATA_ITEMS]}
    if isinstance(value, list):
        return [_shortened(item, depth + 1) for item in value[:_METADATA_ITEMS]]
    return value
