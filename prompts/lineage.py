"""How versions of a prompt descend from each other and differ."""

import difflib
from collections import defaultdict
from dataclasses import dataclass
from typing import Literal

from prompts.models import Prompt, PromptVersion

MAX_INDENT = 8


@dataclass(frozen=True)
class Descendant:
    """A version in the tree of versions; `depth` counts the branches that lead to it."""

    version: PromptVersion
    parent_number: int | None
    depth: int
    is_current: bool


@dataclass(frozen=True)
class Line:
    """One row of a comparison. A missing side is None."""

    kind: Literal["same", "changed", "added", "removed"]
    left_number: int | None
    left: str | None
    right_number: int | None
    right: str | None


@dataclass(frozen=True)
class ComparedPart:
    name: str
    lines: tuple[Line, ...]
    has_changes: bool


def lineage_of(prompt: Prompt) -> tuple[Descendant, ...]:
    """Every version after its parent; a parent's first child goes on at its depth, further ones branch off."""
    versions = list(PromptVersion.objects.filter(prompt=prompt).order_by("version"))
    numbers = {version.pk: version.version for version in versions}
    children: dict[int | None, list[PromptVersion]] = defaultdict(list)
    for version in versions:
        children[version.parent_version_id].append(version)
    waiting = [(version, 0) for version in reversed(children[None])]
    found: list[Descendant] = []
    while waiting:
        version, depth = waiting.pop()
        parent_number = numbers.get(version.parent_version_id or 0)
        found.append(Descendant(version, parent_number, depth, version.pk == prompt.current_version_id))
        following = children[version.pk]
        # The last one in comes out first: branches are shown before the line goes on, each below its own indent.
        waiting += [(child, depth) for child in following[:1]]
        waiting += [(branch, min(depth + 1, MAX_INDENT)) for branch in reversed(following[1:])]
    return tuple(found)


def compare(left: PromptVersion, right: PromptVersion) -> tuple[ComparedPart, ...]:
    """Template and system prompt side by side, line by line."""
    parts = (
        ("Template", left.template, right.template),
        ("System prompt", left.system_prompt, right.system_prompt),
    )
    return tuple(_compared(name, *texts) for name, *texts in parts)


def _compared(name: str, left: str, right: str) -> ComparedPart:
    lines = tuple(_lines(left.splitlines(), right.splitlines()))
    return ComparedPart(name, lines, any(line.kind != "same" for line in lines))


def _lines(left: list[str], right: list[str]) -> list[Line]:
    found: list[Line] = []
    for tag, left_from, left_to, right_from, right_to in difflib.SequenceMatcher(
        None, left, right, autojunk=False
    ).get_opcodes():
        for offset in range(max(left_to - left_from, right_to - right_from)):
            at_left, at_right = left_from + offset, right_from + offset
            has_left, has_right = at_left < left_to, at_right < right_to
            kind: Literal["same", "changed", "added", "removed"] = (
                "same"
                if tag == "equal"
                else "changed"
                if has_left and has_right
                else "added"
                if has_right
                else "removed"
            )
            found.append(
                Line(
                    kind,
                    at_left + 1 if has_left else None,
                    left[at_left] if has_left else None,
                    at_right + 1 if has_right else None,
                    right[at_right] if has_right else None,
                )
            )
    return found
