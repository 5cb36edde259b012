"""What agents and forges write is shown as Markdown, and can do nothing else."""

import pytest

from dashboard.markdown import to_html


def test_markdown_becomes_html():
    html = to_html("All tests pass.\n\n- `slug.py` splits at *any* space\n")

    assert html == "<p>All tests pass.</p>\n<ul>\n<li><code>slug.py</code> splits at <em>any</em> space</li>\n</ul>\n"


def test_tags_are_shown_and_do_nothing():
    html = to_html("<script>alert(1)</script>\n\nand <b onclick='x'>inline</b>")

    assert "<script" not in html
    assert "<b " not in html
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in html


@pytest.mark.parametrize(
    "address",
    ["javascript:alert(1)", "JaVaScRiPt:alert(1)", "data:text/html,x", "vbscript:x", "/sign-out/", "//evil.example", "file:///etc/passwd"],
)  # fmt: skip
def test_a_link_leads_to_the_web_or_to_mail_and_nowhere_else(address: str):
    assert "<a " not in to_html(f"[look]({address})")
    assert "<a " not in to_html(f"<{address}>")


def test_a_link_to_the_web_tells_nothing_of_this_page():
    assert to_html("[docs](https://example.com/a?b=1&c=2)") == (
        '<p><a href="https://example.com/a?b=1&amp;c=2" rel="noopener noreferrer nofollow">docs</a></p>\n'
    )


def test_a_picture_is_not_fetched():
    html = to_html("![tracker](https://evil.example/pixel.png)")

    assert "<img" not in html
