"""Terminal output as HTML: the colours of ANSI sequences become classes, every other control goes away."""

import re
from html import escape

from django.utils.safestring import SafeString, mark_safe

SEQUENCE = re.compile(r"\x1b\[([0-9;]*)([A-Za-z])|\x1b\][^\x07\x1b]*(?:\x07|\x1b\\)|\x1b[@-_]|[\x00-\x08\x0b-\x1f\x7f]")
NAMES = ("black", "red", "green", "yellow", "blue", "magenta", "cyan", "white")


def to_html(text: str) -> SafeString:
    """Escaped text with `<span class="ansi-…">`; never anything else."""
    if text.isprintable():  # no control among it: most lines, and the expression reads each character four times
        return mark_safe(escape(text))  # noqa: S308 - escaped
    parts: list[str] = []
    position = 0
    is_open = False
    for match in SEQUENCE.finditer(text):
        parts.append(escape(text[position : match.start()]))
        position = match.end()
        if match[2] != "m":
            continue
        if is_open:
            parts.append("</span>")
        classes = _classes(match[1])
        is_open = bool(classes)
        if is_open:
            parts.append(f'<span class="{classes}">')
    parts.append(escape(text[position:]))
    if is_open:
        parts.append("</span>")
    return mark_safe("".join(parts))  # noqa: S308 - every piece is escaped above or a class name of ours


def _classes(codes: str) -> str:
    classes: list[str] = []
    for code in codes.split(";"):
        # Three digits are the most that a colour has; Python refuses to read thousands of them.
        number = int(code[:4] or 0)
        if number == 0:
            classes.clear()
        elif number == 1:
            classes.append("ansi-bold")
        elif number == 2:
            classes.append("ansi-dim")
        elif 30 <= number <= 37:
            classes.append(f"ansi-{NAMES[number - 30]}")
        elif 90 <= number <= 97:
            classes.append(f"ansi-{NAMES[number - 90]}")
    return " ".join(classes)
