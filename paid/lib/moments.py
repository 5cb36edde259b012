"""Moments of many rows, read in a third of the time.

Django reads a timestamp with an expression of Python's and puts its zone in anew: of 500 rows of a log that was three
of five milliseconds. As text, which `datetime.fromisoformat` reads in C, it is hardly seen.
"""

from datetime import datetime
from typing import Any

from django.db import models
from django.db.models import Func


class _Text(models.TextField):  # type: ignore[type-arg]
    def from_db_value(self, value: str | None, *_: Any) -> datetime | None:
        return None if value is None else datetime.fromisoformat(value)


class Moment(Func):
    """A `timestamptz` for `annotate`, under a name that no column has: `at=Moment("created_at")`. Not to filter by."""

    template = "%(expressions)s::text"
    output_field = _Text()
