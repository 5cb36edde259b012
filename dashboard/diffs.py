"""A unified diff, taken apart for the page."""

import re
from dataclasses import dataclass, field
from typing import Literal

HUNK = re.compile(r"^@@ -(\d{1,12})(?:,\d+)? \+(\d{1,12})(?:,\d+)? @@(.*)$")
FILE = re.compile(r"^diff --git (?:\"?a/.*?\"?) \"?b/(.*?)\"?$")


@dataclass(frozen=True)
class DiffLine:
    kind: Literal["added", "removed", "context", "hunk", "note"]
    old_number: int | None
    new_number: int | None
    text: str


@dataclass
class DiffFile:
    path: str
    change: str = ""
    lines: list[DiffLine] = field(default_factory=list)

    @property
    def added(self) -> int:
        return sum(line.kind == "added" for line in self.lines)

    @property
    def removed(self) -> int:
        return sum(line.kind == "removed" for line in self.lines)


def parse(patch: str) -> list[DiffFile]:
    """The files of `git diff` output in their order; a line that is not understood is kept as a note."""
    files: list[DiffFile] = []
    old = new = 0
    inside_hunk = False
    # Git ends lines with a newline only. Whatever else counts as an end of line elsewhere may stand inside of one, and
    # must not be able to look like a header that hides what follows.
    for text in patch.removesuffix("\n").split("\n"):
        if header := FILE.match(text):
            files.append(DiffFile(header[1]))
            inside_hunk = False
        elif not files:
            continue
        elif hunk := HUNK.match(text):
            old, new, inside_hunk = int(hunk[1]), int(hunk[2]), True
            files[-1].lines.append(DiffLine("hunk", None, None, text))
        elif not inside_hunk:
            files[-1].change = files[-1].change or _change(text)
        elif text.startswith("+"):
            files[-1].lines.append(DiffLine("added", None, new, text[1:]))
            new += 1
        elif text.startswith("-"):
            files[-1].lines.append(DiffLine("removed", old, None, text[1:]))
            old += 1
        elif text.startswith("\\"):
            files[-1].lines.append(DiffLine("note", None, None, text[2:]))
        else:
            files[-1].lines.append(DiffLine("context", old, new, text[1:]))
            old, new = old + 1, new + 1
    return files


def _change(header: str) -> str:
    for start, word in (
        ("new file", "new"),
        ("deleted file", "deleted"),
        ("rename to", "renamed"),
        ("Binary files", "binary"),
    ):
        if header.startswith(start):
            return word
    return ""
