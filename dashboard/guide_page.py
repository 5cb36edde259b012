"""What the pages of style guides show beside their texts: sizes, and what became of them."""

from collections.abc import Sequence
from dataclasses import dataclass

from accounts.models import AuditEvent
from dashboard.side_by_side import Row, compare
from prompts.compression import compress, estimated_tokens
from prompts.style_guide_operations import CHANGED, CREATED, REMOVED

HISTORY_SHOWN = 20
MOST_PAIRS_OF_LINES = 4_000_000

_SAID = {CREATED: "wrote it", CHANGED: "changed", REMOVED: "removed it"}
_FIELDS = {
    "raw_text": "the text",
    "compressed_text": "the short form",
    "name": "the name",
    "language": "the language",
    "project_id": "where it counts",
}


@dataclass(frozen=True)
class Sent:
    """What agents are told, beside what people wrote."""

    text: str
    is_by_rule: bool
    characters: int
    tokens: int
    raw_characters: int
    raw_tokens: int

    @property
    def saved_percent(self) -> int:
        return round(100 * (1 - self.tokens / self.raw_tokens)) if self.raw_tokens else 0


@dataclass(frozen=True)
class GuideEvent:
    """An event of the audit log as a sentence that begins with its actor; `rows` of the one that is opened."""

    event: AuditEvent
    said: str
    has_texts: bool = False
    rows: tuple[Row, ...] = ()


def sent_of(raw_text: str, compressed_text: str) -> Sent:
    by_rule = compress(raw_text)
    text = compressed_text or by_rule
    return Sent(
        text=text,
        is_by_rule=text == by_rule,
        characters=len(text),
        tokens=estimated_tokens(text),
        raw_characters=len(raw_text),
        raw_tokens=estimated_tokens(raw_text),
    )


def told(events: Sequence[AuditEvent], *, opened: str = "") -> list[GuideEvent]:
    """`opened` is the id of the event whose texts are laid side by side: all of them would take long."""
    return [_told(event, is_opened=str(event.id) == opened) for event in events]


def difference(left: str, right: str) -> list[Row]:
    """Two texts side by side; nothing when they have so many lines that comparing them would hold the page up."""
    return compare(left, right) if left.count("\n") * right.count("\n") <= MOST_PAIRS_OF_LINES else []


def _told(event: AuditEvent, *, is_opened: bool) -> GuideEvent:
    before, after = event.data.get("before", {}), event.data.get("after", {})
    said = _SAID.get(event.action, event.action)
    if event.action != CHANGED:
        return GuideEvent(event, said)
    # A short form that follows the text by rule is no change of its own.
    follows = "raw_text" in after and after.get("compressed_text") == compress(after["raw_text"])
    fields = [label for name, label in _FIELDS.items() if name in after and not (follows and name == "compressed_text")]
    text = next((name for name in ("raw_text", "compressed_text") if name in after), "")
    rows = difference(before[text], after[text]) if text and is_opened else []
    return GuideEvent(event, f"{said} {', '.join(fields)}", bool(text), tuple(rows))
