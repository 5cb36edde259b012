"""A template's Jinja2 in colours: nothing is lost, nothing gets out of its escaping."""

import time
from html import unescape

import pytest
from django.utils.html import strip_tags
from hypothesis import example, given
from hypothesis import strategies as st

from dashboard.template_colours import pieces, to_html


def kinds(source: str) -> list[tuple[str, str]]:
    return [(kind, text) for kind, text in pieces(source) if text.strip()]


def test_each_part_of_a_template_has_its_kind():
    assert kinds('Hi {{ issue.title|truncate(20)|default("<b>") }}!{% if not loop.first %}{# {{ no }} #}') == [
        ("", "Hi "),
        ("tag", "{{"),
        ("name", "issue.title"),
        ("filter", "|truncate"),
        ("code", "("),
        ("number", "20"),
        ("code", ")"),
        ("filter", "|default"),
        ("code", "("),
        ("string", '"<b>"'),
        ("code", ") "),
        ("tag", "}}"),
        ("", "!"),
        ("tag", "{%"),
        ("keyword", "if"),
        ("keyword", "not"),
        ("name", "loop.first"),
        ("tag", "%}"),
        ("comment", "{# {{ no }} #}"),
    ]
    for raw in ("{%- raw %}{{ x }}{% endraw %}", "{%+ raw -%}{# {{{% endraw +%}"):
        assert kinds(raw) == [("raw", raw)]


@pytest.mark.parametrize("source", ["{{ a", "{% if", "{# never", "{% raw %} {{", "}} %} #}", "{ {", "{{"])
def test_what_never_closes_is_text(source: str):
    assert {kind for kind, _ in kinds(source)} == {""}


def test_an_open_tag_does_not_reach_into_the_next_one():
    assert kinds("{{ a\n{{ b }}") == [("", "{{ a\n"), ("tag", "{{"), ("name", "b"), ("tag", "}}")]


@given(st.text(alphabet="{}%#| \n\"'<>&.ab1_-", max_size=60))
@example('{{ "<script>alert(1)</script>" }}<b>&amp;</b>')
def test_no_character_is_lost_and_each_is_escaped(source: str):
    html = to_html(source)

    assert "".join(text for _, text in pieces(source)) == source
    assert unescape(strip_tags(html)) == source
    assert html.count("<") == 2 * html.count('<span class="tpl-')


def test_a_hostile_source_is_coloured_in_no_time():
    started = time.thread_time()
    for hostile in ("{{" * 30_000, "{#" * 5_000, "{% " * 20_000, "{{ a }}" * 8_000, "{{" + "|" * 60_000 + "}}"):
        to_html(hostile)

    # It takes 1.3 of this thread, whatever else the machine does.
    assert time.thread_time() - started < 15
