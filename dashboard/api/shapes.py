"""Pieces of which requests and answers are made."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated

from pydantic import AfterValidator, Field, PlainSerializer, WithJsonSchema

from dashboard.templatetags.display import exact

# A bigint.
Identity = Annotated[int, Field(gt=0, lt=2**63)]


def _plain(text: str) -> str:
    # PostgreSQL keeps no NUL in a text.
    if "\x00" in text:
        raise ValueError("must not hold a NUL character")
    return text


Text = Annotated[str, AfterValidator(_plain)]
Usd = Annotated[
    Decimal,
    PlainSerializer(exact, return_type=str),
    WithJsonSchema({"type": "string", "pattern": r"^-?[0-9]+(\.[0-9]+)?$", "examples": ["0.08312745"]}),
]
Moment = Annotated[datetime, PlainSerializer(lambda at: at.astimezone(UTC).isoformat().replace("+00:00", "Z"))]
