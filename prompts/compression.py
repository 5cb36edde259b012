"""A style guide made shorter without a model: what only decorates goes, every word of every rule stays.

Line by line and outside of fenced code: blank lines, lines that are only a rule or an underline, comments of HTML that
begin a line, spaces that line things up, and `**` around words. A line with a backtick or an indent of code stays as
it is, because there asterisks and spaces mean something.
"""

import math
import re

BYTES_PER_TOKEN = 4  # as the gateway estimates a request that its provider did not count

_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_RULE = re.compile(r" *([-*_=])(?: *\1){2,} *")
# Only a pair that hugs its words: `2**3**4`, `**/*.py` and `**options` are no emphasis.
_BOLD = re.compile(r"(?<![\w*/])\*\*(?=[^\W_])([^*]*[^*\s])\*\*(?![\w*/])")


def compress(text: str) -> str:
    """The same rules in fewer characters."""
    lines = text.replace("\r\n", "\n").split("\n")
    last_close = max((place for place, line in enumerate(lines) if "-->" in line), default=-1)
    kept: list[str] = []
    fence = ""
    is_in_comment = False
    for place, line in enumerate(lines):
        if fence:
            kept.append(line)
            fence = "" if line.strip().startswith(fence) and not line.strip().strip(fence[0]) else fence
        elif is_in_comment or (line.lstrip().startswith("<!--") and place <= last_close):
            # One that nobody closed is no comment: it would take the rest of the rules with it.
            _, closed, rest = line.partition("-->")
            is_in_comment = not closed
            kept += [rest.strip()] if rest.strip() else []
        elif opening := _FENCE.match(line):
            fence = opening[1]
            kept.append(line)
        elif line.strip() and not _RULE.fullmatch(line):
            kept.append(_plain(line.rstrip()))
    return "\n".join(kept)


def estimated_tokens(text: str) -> int:
    """What a model would roughly count."""
    return math.ceil(len(text.encode()) / BYTES_PER_TOKEN)


def _plain(line: str) -> str:
    if "`" in line or line.startswith(("    ", "\t")):
        return line
    indent = line[: len(line) - len(line.lstrip())]
    return indent + re.sub(" {2,}", " ", _BOLD.sub(r"\1", line[len(indent) :]))
