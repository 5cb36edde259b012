"""Text that has to fit."""


def shorten(text: str, limit: int) -> str:
    """At most `limit` characters; what is left out is shown by an ellipsis."""
    return text if len(text) <= limit else text[: limit - 1] + "…"
