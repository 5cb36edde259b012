"""One row of a run's log as the page shows it."""

from collections.abc import Iterable
from datetime import datetime
from typing import NamedTuple

from django.utils.safestring import SafeString

from agent_runs.logs import PARTS_PER_LINE
from agent_runs.models import LogKind
from agent_runs.notes import is_note
from agent_runs.querysets import LogRow
from dashboard.terminal_colours import to_html

# A single row may hold a whole file that the agent read: the page shows its beginning, the download all of it.
SHOWN_CHARACTERS = 20_000
ICONS = {
    "message": "message-circle",
    "tool_use": "terminal-2",
    "tool_result": "chevron-right",
    "result": "circle-check",
    "usage": "coin",
    "system": "info-circle",
    "stderr": "alert-triangle",
}


class LogLine(NamedTuple):
    """`seq` is the row's number in the database, `number` that of the line as people count; Paid's own have none."""

    seq: int
    number: int | None
    kind: str
    at: datetime
    html: SafeString
    icon: str
    is_cut: bool


def lines(rows: Iterable[LogRow]) -> list[LogLine]:
    return [_line(row) for row in rows]


def _line(row: LogRow) -> LogLine:
    kind = kind_of(row.kind, row.event)
    return LogLine(
        seq=row.seq,
        number=None if is_note(row.seq) else row.seq // PARTS_PER_LINE or row.seq,
        kind=kind.replace("_", "-"),
        at=row.at,
        html=to_html(row.content[:SHOWN_CHARACTERS]),
        icon=ICONS.get(kind, "chevron-right"),
        is_cut=len(row.content) > SHOWN_CHARACTERS,
    )


_STREAMS = {LogKind.STDERR.value: "stderr", LogKind.SYSTEM.value: "system", LogKind.METRIC.value: "usage"}


def kind_of(kind: str, event: str | None) -> str:
    """The agent's own kind of event where an adapter understood it, else the stream it came from."""
    return event if event in ICONS else _STREAMS.get(kind, "stdout")
