"""Partitions ready before they are needed, and dropped when their time is over. Which tables: `partitioned_tables`.

Every partition is made or dropped in a transaction of its own: the lock on the parent is short, and what was done
stays done when a later one fails.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any

from django.db import OperationalError, connection
from psycopg.errors import LockNotAvailable

from paid.lib.sql import statement
from paid.lib.tenancy import platform

# One key for everybody who makes or drops partitions.
ADVISORY_LOCK = 7_115_201
ATTEMPTS = 5

Pause = Callable[[float], None]


@dataclass(frozen=True)
class Missing:
    parent: str
    starts_at: datetime


@dataclass(frozen=True)
class Expired:
    parent: str
    name: str
    ends_at: datetime
    estimated_rows: int
    bytes: int


@dataclass(frozen=True)
class Unexpected:
    """Rows in a default partition, counted up to 1,000: nobody made the partition that they belong to."""

    parent: str
    rows: int


def missing() -> list[Missing]:
    return [Missing(*row) for row in _rows("missing_partitions")]


def expired() -> list[Expired]:
    return [Expired(*row) for row in _rows("expired_partitions")]


def unexpected() -> list[Unexpected]:
    return [Unexpected(*row) for row in _rows("unexpected_rows")]


def create_missing() -> Iterator[Missing]:
    """Make what is missing; yields each that this process made, when it is there."""
    for partition in missing():
        if create(partition):
            yield partition


def drop_expired() -> Iterator[Expired]:
    """Drop what is no longer kept; yields each that is gone."""
    for partition in expired():
        drop(partition)
        yield partition


def create(partition: Missing, *, pause: Pause = time.sleep) -> bool:
    """Make it, moving over what the default partition holds of its time; False when somebody else was faster."""
    query = "SELECT create_partitions(%s, %s, %s)"
    return _patiently(query, [partition.parent, partition.starts_at, partition.starts_at], pause) == 1


def drop(partition: Expired, *, pause: Pause = time.sleep) -> None:
    """Detach and drop it. The database refuses what its table still keeps."""
    _patiently("SELECT drop_partition(%s, %s)", [partition.parent, partition.name], pause)


@contextmanager
def alone() -> Iterator[bool]:
    """Whether this is the only process that makes or drops partitions now; holds the lock for the block."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT pg_try_advisory_lock(%s)", [ADVISORY_LOCK])
        is_alone = bool(cursor.fetchone()[0])
    try:
        yield is_alone
    finally:
        if is_alone:
            with connection.cursor() as cursor:
                cursor.execute("SELECT pg_advisory_unlock(%s)", [ADVISORY_LOCK])


def _rows(name: str) -> list[tuple[Any, ...]]:
    with platform(), connection.cursor() as cursor:
        cursor.execute(statement("paid.lib", "partition_queries", name))
        return list(cursor.fetchall())


def _patiently(query: str, values: list[Any], pause: Pause) -> object:
    """Run one statement, again after a while when its short lock_timeout ran out behind somebody's long transaction."""
    for attempt in count(1):
        try:
            with platform(), connection.cursor() as cursor:
                cursor.execute(query, values)
                return cursor.fetchone()[0]
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable) or attempt == ATTEMPTS:
                raise
        pause(2**attempt / 2)
    raise AssertionError("count() does not end")
