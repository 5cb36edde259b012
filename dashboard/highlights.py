"""The place in a text where a search hit, with the hits marked."""

import re

from django.utils.html import escape
from django.utils.safestring import SafeString, mark_safe

CHARACTERS_AROUND = 90
# Full text finds other forms of a word: what they share is its beginning.
ENDINGS = re.compile(r"(?:ing|ed|es|s|e)$")


def excerpt(text: str, wanted: str) -> SafeString | None:
    """The surroundings of the first hit on one line; None when no word of `wanted` begins a word there."""
    pattern = _pattern(wanted)
    first = pattern.search(text) if pattern else None
    if pattern is None or first is None:
        return None
    start, end = max(0, first.start() - CHARACTERS_AROUND), first.end() + CHARACTERS_AROUND
    shown = " ".join(text[start:end].split())
    marked = []
    position = 0
    for hit in pattern.finditer(shown):
        marked += [escape(shown[position : hit.start()]), "<mark>", escape(hit[0]), "</mark>"]
        position = hit.end()
    marked.append(escape(shown[position:]))
    before, after = "…" if start else "", "…" if end < len(text) else ""
    return mark_safe(before + "".join(marked) + after)  # noqa: S308 - every piece is escaped above


def _pattern(wanted: str) -> re.Pattern[str] | None:
    stems = [re.escape(ENDINGS.sub("", word) if len(word) > 4 else word) for word in re.findall(r"\w+", wanted)]
    return re.compile(rf"(?:{'|'.join(stems)})\w*", re.IGNORECASE) if stems else None
