"""A prompt's template with its Jinja2 in colours: spans around what is escaped. template_editor.js does the same."""

import re
from collections.abc import Iterator

from django.utils.html import format_html, format_html_join
from django.utils.safestring import SafeString

_OPENING = re.compile(r"\{[{%#]")
_RAW = re.compile(r"\{%[-+]?\s*raw\s*-?%\}")
_END_OF_RAW = re.compile(r"\{%[-+]?\s*endraw\s*[-+]?%\}")
_TOKEN = re.compile(
    r"(?P<tag>\{\{-?|\{%[-+]?|-?\}\}|[-+]?%\})"
    r"|(?P<string>\"[^\"]*\"|'[^']*')"
    r"|(?P<keyword>\b(?:if|elif|else|endif|for|endfor|in|not|and|or|is|true|false|none)\b)"
    r"|(?P<filter>\|\s*[A-Za-z_]\w*)"
    r"|(?P<number>\b\d+\b)"
    r"|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)",
    re.ASCII,
)


def to_html(source: str) -> SafeString:
    """Escaped text with `<span class="tpl-…">`; never anything else."""
    return format_html_join("", "{}", ((_span(kind, text) if kind else text,) for kind, text in pieces(source) if text))


def pieces(source: str) -> Iterator[tuple[str, str]]:
    """The source in its order, each piece with its kind: empty for text. What never closes is text."""
    written = place = 0
    while opening := _OPENING.search(source, place):
        start = opening.start()
        end = _end_of(source, start)
        place = end or start + 2
        if not end:
            continue
        yield "", source[written:start]
        written = end
        if source.startswith("{#", start):
            yield "comment", source[start:end]
        elif _RAW.match(source, start):
            yield "raw", source[start:end]
        else:
            yield from _tokens(source[start:end])
    yield "", source[written:]


def _end_of(source: str, start: int) -> int:
    """Where what opens here has closed; 0 when it does not, or when something else opens first."""
    if _RAW.match(source, start):
        end_of_raw = _END_OF_RAW.search(source, start)
        return end_of_raw.end() if end_of_raw else 0
    closing = {"{": "}}", "%": "%}", "#": "#}"}[source[start + 1]]
    opening = None if closing == "#}" else _OPENING.search(source, start + 2)
    end = source.find(closing, start + 2, opening.start() if opening else len(source))
    return end + len(closing) if end >= 0 else 0


def _tokens(code: str) -> Iterator[tuple[str, str]]:
    written = 0
    for token in _TOKEN.finditer(code):
        yield "code", code[written : token.start()]
        yield str(token.lastgroup), token[0]
        written = token.end()
    yield "code", code[written:]


def _span(kind: str, text: str) -> SafeString:
    return format_html('<span class="tpl-{}">{}</span>', kind, text)
