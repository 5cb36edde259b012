"""What an agent prints or writes in order to break, or to deceive, the page that a person looks at."""

import pytest

from dashboard import diffs
from dashboard.terminal_colours import to_html


def test_a_colour_with_thousands_of_digits_is_no_colour():
    assert to_html("\x1b[" + "9" * 5_000 + "mred\x1b[0m") == "red"


def test_terminal_output_is_escaped_whatever_stands_between_its_controls():
    assert to_html('\x1b[31m<b onload="x">\x1b]0;<i>\x07\x1b[1;0;32m&') == (
        '<span class="ansi-red">&lt;b onload=&quot;x&quot;&gt;</span><span class="ansi-green">&amp;</span>'
    )


@pytest.mark.parametrize("end", ["\r", "\x0b", "\x0c", "\x1c", "\x85", "\u2028", "\u2029"])
def test_nothing_inside_of_a_line_can_hide_the_lines_behind_it(end: str):
    patch = (
        "diff --git a/app.py b/app.py\n--- a/app.py\n+++ b/app.py\n@@ -1,1 +1,3 @@\n first\n"
        f"+# harmless{end}diff --git a/README b/README\n+steal()\n"
    )

    (file,) = diffs.parse(patch)

    assert (file.path, file.added) == ("app.py", 2)
    assert file.lines[-1].text == "steal()"
