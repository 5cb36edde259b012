"""A style guide's short form says every word of its long one."""

import re

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from prompts.compression import compress, estimated_tokens

GUIDE = """<!-- Kept by the platform team.
     Ask before you change it. -->
# Python

Names
-----

**Full words**, never `abbr`.


| word | not  |
*   No   aligned    comments.

---
```python
x   = **options

# two blank lines stay
```
Use **kwargs and **options, 2**3**4, **/*.py and __init__.
"""
SHORT = """# Python
Names
**Full words**, never `abbr`.
| word | not |
* No aligned comments.
```python
x   = **options

# two blank lines stay
```
Use **kwargs and **options, 2**3**4, **/*.py and __init__."""


def test_decoration_goes_and_rules_and_code_stay():
    assert compress(GUIDE) == SHORT
    assert compress(GUIDE.replace("\n", "\r\n")) == SHORT
    assert compress("**Never:** guess. (**Always** ask.)") == "Never: guess. (Always ask.)"


@pytest.mark.parametrize("text", ["<!-- never closed\nKeep me.", "``` \nnever closed\n\n\n", "a --> b", "-- x", ""])
def test_what_is_no_decoration_stays(text: str):
    assert compress(text) == text


def test_words_after_a_comment_stay():
    assert compress("<!-- one --> Keep\n<!-- two\nlines -->\nme") == "Keep\nme"


@given(st.text(alphabet="ab_*`~#-=|> \t\n1", max_size=80))
@example("**a **b** c**")
@example("```\n**a**\n```\n**a**")
def test_no_word_is_lost(text: str):
    assert re.findall(r"[^\W_]+", compress(text)) == re.findall(r"[^\W_]+", text)


def test_a_text_without_end_is_compressed_in_no_time():
    for hostile in (
        "<!--" * 50_000,
        "**a" * 60_000,
        "`" * 200_000,
        "* " * 100_000,
        "<!--\n" * 40_000,
        "-" * 200_000 + "x",
    ):
        assert len(compress(hostile)) <= len(hostile)


def test_tokens_are_estimated_by_bytes():
    assert [estimated_tokens(text) for text in ("", "a", "abcd", "abcde", "Über")] == [0, 1, 1, 2, 2]
