"""Titles as parts of web addresses."""

import re

PUNCTUATION = re.compile(r"[^a-z0-9 -]")


def slugify(title: str) -> str:
    """`Hello, World` becomes `hello-world`."""
    return "-".join(PUNCTUATION.sub("", title.lower()).split(" "))
