"""Two texts next to each other: which lines stayed, changed, came and went."""

from dataclasses import dataclass
from difflib import SequenceMatcher
from typing import Literal


@dataclass(frozen=True)
class Row:
    """One line of each side; None where that side has no such line."""

    kind: Literal["same", "changed", "added", "removed"]
    left_number: int | None
    left: str | None
    right_number: int | None
    right: str | None


def compare(left: str, right: str) -> list[Row]:
    old, new = left.splitlines(), right.splitlines()
    rows: list[Row] = []
    for tag, i1, i2, j1, j2 in SequenceMatcher(None, old, new, autojunk=False).get_opcodes():
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
