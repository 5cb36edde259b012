"""Diffs, comparisons, colours, hits and figures as the pages show them."""

from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest

from agent_runs.querysets import Position
from dashboard import diffs
from dashboard.side_by_side import Row, compare
from dashboard.templatetags.display import duration, relative, short_usd, usd
from dashboard.terminal_colours import to_html
from tests.dashboard.world import PATCH


def test_a_patch_is_read_into_files_with_line_numbers_of_both_sides():
    changed, new = diffs.parse(PATCH)

    assert [(f.path, f.change, f.added, f.removed) for f in (changed, new)] == [
        ("slugify.py", "", 4, 1),
        ("tests/test_slugify.py", "new", 5, 0),
    ]
    assert [(line.kind, line.old_number, line.new_number) for line in changed.lines[:3]] == [
        ("hunk", None, None),
        ("context", 1, 1),
        ("added", None, 2),
    ]
    removed = next(line for line in changed.lines if line.kind == "removed")
    assert (removed.old_number, removed.text) == (5, '    words = re.findall(r"[a-z0-9]+", title.lower())')


def test_a_line_that_looks_like_a_header_inside_of_a_hunk_is_content():
    (only,) = diffs.parse("diff --git a/x b/x\n--- a/x\n+++ b/x\n@@ -1,2 +1,1 @@\n--- old comment\n context\n")

    assert [(line.kind, line.text) for line in only.lines[1:]] == [
        ("removed", "-- old comment"),
        ("context", "context"),
    ]


def test_two_texts_are_laid_side_by_side():
    assert compare("a\nb\nc", "a\nB\nc\nd") == [
        Row("same", 1, "a", 1, "a"),
        Row("changed", 2, "b", 2, "B"),
        Row("same", 3, "c", 3, "c"),
        Row("added", None, None, 4, "d"),
    ]


@pytest.mark.parametrize(
    ("left", "right"),
    [
        ("x\n" * 30_000, "x\ny\n" * 15_000),
        ("".join(f"{n}\nx\n" for n in range(9_000)), "".join(f"{n}\ny\n" for n in range(9_000))),
    ],
)
def test_no_two_texts_are_slow_to_lay_side_by_side(left: str, right: str):
    """A member or a model may have written them, and whoever looks holds a transaction: without a bound, for hours."""
    rows = compare(left, right)
    assert "".join(f"{row.left}\n" for row in rows if row.left is not None) == left
    assert "".join(f"{row.right}\n" for row in rows if row.right is not None) == right


def test_lines_that_stand_everywhere_still_meet_beside_those_that_do_not():
    left = "".join(f"line {n}\n\n" for n in range(1_000))
    rows = compare(left, f"first\n{left}last\n")
    assert [row.kind for row in rows] == ["added", *["same"] * 2_000, "added"]


def test_terminal_colours_become_classes_and_everything_else_is_escaped():
    assert to_html("\x1b[1;31mFAILED\x1b[0m <b>&") == '<span class="ansi-bold ansi-red">FAILED</span> &lt;b&gt;&amp;'
    assert to_html("\x1b]0;title\x07\x1b[2Kdone\x00\r\n") == "done\n"
    assert to_html("\x1b[32mnever closed") == '<span class="ansi-green">never closed</span>'


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        ("0", "0.00"),
        ("0.0000000125", "0.00000001"),
        ("0.000123", "0.00012"),
        ("0.0831274", "0.083"),
        ("12.5", "12.50"),
        ("1234.5678", "1,234.57"),
    ],
)
def test_costs_show_the_digits_that_matter(value: str, shown: str):
    assert short_usd(Decimal(value)) == shown


def test_a_cost_keeps_its_exact_value_in_the_title():
    assert usd(Decimal("0.083127450000")) == '<span class="number" title="0.08312745 USD">$0.083</span>'


def test_times_and_durations_are_short():
    assert [duration(seconds) for seconds in (3.24, 59.6, 90, 3_725)] == [
        "3.2 s",
        "1 min 0 s",
        "1 min 30 s",
        "1 h 2 min",
    ]
    assert [relative(timedelta(seconds=seconds)) for seconds in (3, 42, 150, 7_300, 200_000)] == [
        "just now",
        "42 s ago",
        "2 min ago",
        "2 h ago",
        "2 d ago",
    ]


def test_a_position_in_the_list_survives_the_url_and_nonsense_is_none():
    position = Position(datetime(2026, 11, 22, 20, 15, 0, 123456, tzinfo=UTC), 42)

    assert Position.parse(str(position)) == position
    assert [
        Position.parse(text)
        for text in (
            "", "x~1", "2026-11-22T20:15:00~1", "2026-11-22T20:15:00+00:00~-1", "9999-12-31T23:59:59-23:59~1"
        )
    ] == [None] * 5  # fmt: skip
    assert str(Position.parse("2026-11-22T20:15:00+23:59~1")) == "2026-11-21T20:16:00+00:00~1"
