"""Titles as they stand in addresses."""

import re

_NOT_IN_A_SLUG = re.compile(r"[^a-z0-9 ]")


def slugify(title: str) -> str:
    """Lower case, words joined by single hyphens: "Hello, World!" becomes "hello-world"."""
    cleaned = _NOT_IN_A_SLUG.sub("", title.lower())
    return "-".join(cleaned.split(" "))
