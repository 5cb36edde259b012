"""A table that grew unpartitioned becomes partitioned while it is written: `manage.py partitions convert`.

A sibling is made; a trigger writes every change to both; the old rows are copied in short batches; when both hold the
same, they swap names under a lock of milliseconds. Each step is a transaction of the owner's and can be repeated.
"""

import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from django.db import OperationalError, connections
from psycopg.errors import LockNotAvailable

ATTEMPTS = 30
PAUSE_SECONDS = 0.5


class ConversionError(Exception):
    """The table cannot be converted."""


@dataclass(frozen=True)
class Wanted:
    """By which column, in which steps, and what retention keeps (`keep_days` None: all)."""

    table: str
    by: str
    unit: str
    ahead: int
    keep_days: int | None


@dataclass(frozen=True)
class State:
    copied: int
    is_copied: bool
    is_swapped: bool


@dataclass(frozen=True)
class Comparison:
    """Both tables in one snapshot; `are_equal` also compares what the rows hold."""

    source_rows: int
    sibling_rows: int
    are_equal: bool


def obstacles(wanted: Wanted) -> list[str]:
    """Why the table cannot be converted, in words; empty when it can."""
    return [words for (words,) in _ask("SELECT conversion_obstacles(%s, %s)", wanted.table, wanted.by)]


def state(table: str) -> State | None:
    """Where the conversion of a table stands; None when none was begun."""
    columns = "copied, is_copied, is_swapped"
    found = _ask(f"SELECT {columns} FROM partition_conversions WHERE table_name = %s", table)  # noqa: S608 - constant
    return State(*found[0]) if found else None


def estimated_rows(table: str) -> int:
    return int(_ask("SELECT greatest(reltuples, 0)::bigint FROM pg_class WHERE oid = to_regclass(%s)", table)[0][0])


def start(wanted: Wanted) -> None:
    values = [wanted.table, wanted.by, wanted.unit, wanted.ahead, wanted.keep_days]
    _patiently("SELECT conversion_start(%s, %s, %s, %s, %s)", *values)


def copy(table: str, *, batch_rows: int) -> Iterator[int]:
    """Copy what is left; yields after each batch how many rows were copied in all."""
    while True:
        before = state(table)
        if before is None or before.is_copied:
            return
        _patiently("SELECT conversion_batch(%s, %s)", table, batch_rows)
        after = state(table)
        yield after.copied if after else before.copied


def compare(table: str) -> Comparison:
    """Whether both hold the same. If not, the next `copy` begins anew and fills what is missing."""
    return Comparison(*_ask("SELECT * FROM conversion_compare(%s)", table)[0])


def swap(table: str) -> None:
    _patiently("SELECT conversion_swap(%s)", table)


def undo(table: str) -> None:
    """Before the swap: as if nothing had been begun. After it: drop the former table."""
    _patiently("SELECT conversion_undo(%s)", table)


def _patiently(query: str, *values: Any) -> None:
    """The lock is asked for shortly, and again, so that nobody queues behind a request that itself waits."""
    for attempt in range(1, ATTEMPTS + 1):
        try:
            _ask(query, *values)
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            if attempt == ATTEMPTS:
                raise ConversionError("Long transactions hold the table: run the command again, it goes on.") from error
            time.sleep(PAUSE_SECONDS)
        else:
            return


def _ask(query: str, *values: Any) -> list[tuple[Any, ...]]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(query, values)
        return list(cursor.fetchall())
