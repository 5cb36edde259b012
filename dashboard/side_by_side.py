"""Two texts next to each other: which lines stayed, changed, came and went."""

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from difflib import Match, SequenceMatcher
from typing import Literal

# About half a second, of which ordinary texts take some hundredths. What is not matched by then counts as changed.
MOST_PAIRS_OF_LINES = 2_000_000


@dataclass(frozen=True)
class Row:
    """One line of each side; None where that side has no such line."""

    kind: Literal["same", "changed", "added", "removed"]
    left_number: int | None
    left: str | None
    right_number: int | None
    right: str | None


class _BoundedMatcher(SequenceMatcher[str]):
    """Each search looks at every pair of equal lines, and lines that alternate need as many searches as there are
    lines: two texts of a few kilobytes, which a model may have written, would take hours.
    """

    a: Sequence[str]
    b2j: dict[str, list[int]]
    work = 0

    def find_longest_match(self, alo: int = 0, ahi: int | None = None, blo: int = 0, bhi: int | None = None) -> Match:
        self.work += sum(1 + len(self.b2j.get(line, ())) for line in self.a[alo:ahi])
        if self.work > MOST_PAIRS_OF_LINES:
            return Match(alo, blo, 0)
        return super().find_longest_match(alo, ahi, blo, bhi)


def compare(left: str, right: str) -> list[Row]:
    old, new = left.splitlines(), right.splitlines()
    rows: list[Row] = []
    for tag, i1, i2, j1, j2 in _opcodes(old, new):
        if tag == "equal":
            rows += [
                Row("same", i + 1, old[i], j + 1, new[j]) for i, j in zip(range(i1, i2), range(j1, j2), strict=True)
            ]
            continue
        for step in range(max(i2 - i1, j2 - j1)):
            i, j = i1 + step, j1 + step
            has_old, has_new = i < i2, j < j2
            rows.append(
                Row(
                    "changed" if has_old and has_new else "removed" if has_old else "added",
                    i + 1 if has_old else None,
                    old[i] if has_old else None,
                    j + 1 if has_new else None,
                    new[j] if has_new else None,
                )
            )
    return rows


def _opcodes(old: Sequence[str], new: Sequence[str]) -> Iterator[tuple[str, int, int, int, int]]:
    """How `old` becomes `new`. What both begin with is the same, however often its lines stand elsewhere."""
    shorter = min(len(old), len(new))
    begun = next((place for place in range(shorter) if old[place] != new[place]), shorter)
    if begun:
        yield "equal", 0, begun, 0, begun
    old, new = old[begun:], new[begun:]
    counts = Counter(new)
    # Lines that stand everywhere, such as blank ones, then anchor nothing of their own.
    has_too_many_pairs = sum(counts[line] for line in old) > MOST_PAIRS_OF_LINES // 10
    for tag, *places in _BoundedMatcher(None, old, new, autojunk=has_too_many_pairs).get_opcodes():
        i1, i2, j1, j2 = (begun + place for place in places)
        yield tag, i1, i2, j1, j2
