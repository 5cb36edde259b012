"""Hits of a log search as the page shows them: by run, each with the words marked."""

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from itertools import groupby

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

from agent_runs.logs import PARTS_PER_LINE
from agent_runs.models import AgentRun, AgentRunLog
from agent_runs.querysets import listed, named
from dashboard.log_lines import ICONS, kind_of

CHARACTERS_AROUND = 110
# So many lines are shown above a hit when its log is opened.
LINES_BEFORE = 20
COLOURS = re.compile(r"\x1b\[[0-9;]*[A-Za-z]")
WORDS = re.compile(r"[^\W_]+")


@dataclass(frozen=True)
class Hit:
    """`after` is where the page of the log begins that shows the hit with what came before it."""

    seq: int
    number: int
    after: int
    kind: str
    icon: str
    at: datetime
    html: SafeString


@dataclass(frozen=True)
class RunHits:
    run: AgentRun
    hits: list[Hit]


def by_run(rows: Iterable[AgentRunLog], wanted: str) -> list[RunHits]:
    """In the order of the rows. Only the account's own runs are read, so a row of any other would not be shown."""
    rows = list(rows)
    runs = listed(AgentRun.objects.all()).in_bulk({row.agent_run_id for row in rows})
    named(runs.values())
    marked = _pattern(wanted)
    return [
        RunHits(runs[run_id], [_hit(row, marked) for row in hits])
        for run_id, hits in groupby(rows, key=lambda row: row.agent_run_id)
        if run_id in runs
    ]


def _hit(row: AgentRunLog, marked: re.Pattern[str] | None) -> Hit:
    kind = kind_of(row.kind, row.metadata.get("event") if isinstance(row.metadata, dict) else None)
    return Hit(
        seq=row.seq,
        number=row.seq // PARTS_PER_LINE or row.seq,
        after=max(0, row.seq - LINES_BEFORE * PARTS_PER_LINE),
        kind=kind.replace("_", "-"),
        icon=ICONS.get(kind, "chevron-right"),
        at=row.created_at,
        html=excerpt(COLOURS.sub("", row.content), marked),
    )


def _pattern(wanted: str) -> re.Pattern[str] | None:
    """Whole words, as the index knows them; what is excluded is marked nowhere, because it is not in the row."""
    words = WORDS.findall(wanted)
    return re.compile(rf"(?<![^\W_])(?:{'|'.join(words)})(?![^\W_])", re.IGNORECASE) if words else None


def excerpt(text: str, marked: re.Pattern[str] | None) -> SafeString:
    """The surroundings of the first word that is marked, on one line; the beginning when there is none."""
    first = marked.search(text) if marked else None
    middle = first.start() if first else 0
    start, end = max(0, middle - CHARACTERS_AROUND), middle + 2 * CHARACTERS_AROUND
    shown = " ".join(text[start:end].split())
    pieces, position = [], 0
    for word in marked.finditer(shown) if marked else ():
        pieces += [escape(shown[position : word.start()]), "<mark>", escape(word[0]), "</mark>"]
        position = word.end()
    pieces.append(escape(shown[position:]))
    before, after = "…" if start else "", "…" if end < len(text) else ""
    return mark_safe(before + "".join(pieces) + after)  # noqa: S308 - every piece is escaped above
