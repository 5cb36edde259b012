"""What may stand in an address of the API. Each converter tells the OpenAPI document what it takes."""

from typing import Any

from django.urls import register_converter
from django.urls.converters import StringConverter

from prompts.models.prompts import LABEL_PATTERN


class Identity:
    """The id of a row: a bigint holds 18 digits whatever they are."""

    regex = "[0-9]{1,18}"
    schema: dict[str, Any] = {"type": "integer", "minimum": 1, "format": "int64", "examples": [42]}  # noqa: RUF012 - read only

    def to_python(self, value: str) -> int:
        return int(value)

    def to_url(self, value: int) -> str:
        return str(value)


class LabelName(StringConverter):
    regex = LABEL_PATTERN.strip("^$")
    schema: dict[str, Any] = {"type": "string", "pattern": LABEL_PATTERN, "examples": ["production"]}  # noqa: RUF012 - read only


register_converter(Identity, "identity")
register_converter(LabelName, "label_name")
