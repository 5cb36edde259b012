"""Partitions ready before they are needed, indexed when they are closed, and dropped when their time is over.

Which tables: `partitioned_tables`. Which indexes wait for the end of a partition: `partition_indexes`.

Every partition is made, detached or dropped in a transaction of its own: the lock on the parent is short, and what was
done stays done when a later one fails.
"""

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from itertools import count
from typing import Any, TypeVar

from django.db import OperationalError, connection, connections
from psycopg import sql
from psycopg.errors import LockNotAvailable

from paid.lib.sql import statement
from paid.lib.tenancy import platform

# One key for everybody who makes or drops partitions.
ADVISORY_LOCK = 7_115_201
ATTEMPTS = 8
LONGEST_PAUSE_SECONDS = 10.0
# So many periods of rows in a default partition are made at a time: each takes its lock on the table.
STRAY_PERIODS = 31

Pause = Callable[[float], None]


class PartitionInUse(Exception):
    """Long transactions hold the table: its partition is left as it is, and the next run tries again."""

    def __init__(self, *names: str) -> None:
        super().__init__(*names)
        self.names = names

    def __str__(self) -> str:
        return f"{', '.join(self.names)}: {self.__doc__}"


@dataclass(frozen=True)
class Missing:
    parent: str
    starts_at: datetime

    def __str__(self) -> str:
        return f"{self.parent} from {self.starts_at:%Y-%m-%d}"


@dataclass(frozen=True)
class Expired:
    parent: str
    name: str
    ends_at: datetime
    estimated_rows: int
    bytes: int
    is_detached: bool = False

    def __str__(self) -> str:
        return self.name


@dataclass(frozen=True)
class UnbuiltIndex:
    """An index of `partition_indexes` that a closed partition has not, or only as the ruin of a build."""

    parent: str
    partition: str
    name: str
    definition: str
    estimated_rows: int
    is_broken: bool


@dataclass(frozen=True)
class Unexpected:
    """Rows in a default partition, counted up to 1,000: nobody made the partition that they belong to."""

    parent: str
    rows: int


@dataclass(frozen=True)
class Summary:
    """One partitioned table. `keep_days` None keeps everything; `unexpected` counts up to 1,000."""

    parent: str
    unit: str
    keep_days: int | None
    partitions: int
    starts_at: datetime | None
    ends_at: datetime | None
    estimated_rows: int
    bytes: int
    unexpected: int


Partition = TypeVar("Partition", Missing, Expired)


def summaries() -> list[Summary]:
    return [Summary(*row) for row in _rows("partition_summary")]


def missing() -> list[Missing]:
    return [Missing(*row) for row in _rows("missing_partitions", STRAY_PERIODS)]


def expired() -> list[Expired]:
    return [Expired(*row) for row in _rows("expired_partitions")]


def unexpected() -> list[Unexpected]:
    return [Unexpected(*row) for row in _rows("unexpected_rows")]


def unbuilt_indexes() -> list[UnbuiltIndex]:
    return [UnbuiltIndex(*row) for row in _rows("unbuilt_indexes")]


def create_missing(*, pause: Pause = time.sleep) -> Iterator[Missing]:
    """Make what is missing; yields each that this process made, when it is there.

    Raises PartitionInUse for what could not be made, when all the rest is.
    """
    return _each(missing(), lambda partition, attempts: create(partition, pause=pause, attempts=attempts))


def drop_expired(*, pause: Pause = time.sleep) -> Iterator[Expired]:
    """Drop what is no longer kept; yields each that is gone.

    Raises PartitionInUse for what could not be dropped, when all the rest is.
    """

    def is_gone(partition: Expired, attempts: int) -> bool:
        drop(partition, pause=pause, attempts=attempts)
        return True

    return _each(expired(), is_gone)


def gather(
    done: Iterator[Partition], announce: Callable[[Partition], None] = lambda _: None
) -> tuple[list[Partition], PartitionInUse | None]:
    """All that `create_missing` or `drop_expired` did, and what it raised at its end, for whoever has more to do."""
    gathered: list[Partition] = []
    try:
        for partition in done:
            announce(partition)
            gathered.append(partition)
    except PartitionInUse as error:
        return gathered, error
    return gathered, None


def create(partition: Missing, *, pause: Pause = time.sleep, attempts: int | None = None) -> bool:
    """Make it, moving over what the default partition holds of its time; False when somebody else was faster."""
    query = "SELECT create_partitions(%s, %s, %s)"
    values = [partition.parent, partition.starts_at, partition.starts_at]
    return _patiently(partition.parent, query, values, pause, attempts) == 1


def drop(partition: Expired, *, pause: Pause = time.sleep, attempts: int | None = None) -> None:
    """Detach it, then drop it: readers meet only the first, short lock. The database refuses what is still kept."""
    names = [partition.parent, partition.name]
    if not partition.is_detached:
        _patiently(partition.parent, "SELECT detach_partition(%s, %s)", names, pause, attempts)
    _patiently(partition.parent, "SELECT drop_partition(%s, %s)", names, pause, attempts)


def build_index(index: UnbuiltIndex) -> None:
    """As the owner and without blocking a writer. CONCURRENTLY runs outside of any transaction, so as no function."""
    owner = connections["owner"].copy()
    name, partition = sql.Identifier(index.name), sql.Identifier(index.partition)
    # The definition stands in a table that only migrations write.
    definition = sql.SQL(index.definition)
    try:
        with owner.cursor() as cursor:
            # What the settings allow for one statement of a migration is too little for an index.
            cursor.execute("SET statement_timeout = 0")
            if index.is_broken:
                cursor.execute(sql.SQL("DROP INDEX CONCURRENTLY IF EXISTS {}").format(name))
            build = sql.SQL("CREATE INDEX CONCURRENTLY IF NOT EXISTS {} ON {} {}")
            cursor.execute(build.format(name, partition, definition))
    finally:
        owner.close()


@contextmanager
def alone() -> Iterator[bool]:
    """Whether this is the only process that makes or drops partitions now; holds the lock for the block.

    The lock belongs to an idle transaction on a connection of its own: a session's lock would stay behind on a server
    connection that a transaction pooler has given to somebody else.
    """
    holder = connection.copy()
    try:
        holder.set_autocommit(False)
        with holder.cursor() as cursor:
            cursor.execute("SELECT pg_try_advisory_xact_lock(%s)", [ADVISORY_LOCK])
            is_alone = bool(cursor.fetchone()[0])
        yield is_alone
        holder.rollback()
    finally:
        holder.close()


def _each(partitions: list[Partition], work: Callable[[Partition, int], bool]) -> Iterator[Partition]:
    """Work on one after the other, and go on past those in use; yields what is done.

    Where one was waited for in vain, others of its table are tried once: whoever holds the table mostly holds them all.
    """
    in_use: dict[str, str] = {}
    for partition in partitions:
        try:
            is_done = work(partition, 1 if partition.parent in in_use.values() else ATTEMPTS)
        except PartitionInUse:
            in_use[str(partition)] = partition.parent
        else:
            if is_done:
                yield partition
    if in_use:
        raise PartitionInUse(*in_use)


def _rows(name: str, *values: int) -> list[tuple[Any, ...]]:
    with platform(), connection.cursor() as cursor:
        cursor.execute(statement("paid.lib", "partition_queries", name), values or None)
        return list(cursor.fetchall())


def _patiently(table: str, query: str, values: list[Any], pause: Pause, attempts: int | None) -> object:
    """Run one statement, again after a while when its short lock_timeout ran out behind somebody's long transaction."""
    for attempt in count(1):
        try:
            with platform(), connection.cursor() as cursor:
                cursor.execute(query, values)
                return cursor.fetchone()[0]
        except OperationalError as error:
            if not isinstance(error.__cause__, LockNotAvailable):
                raise
            if attempt >= (attempts or ATTEMPTS):
                raise PartitionInUse(table) from error
        pause(min(2**attempt / 2, LONGEST_PAUSE_SECONDS))
    raise AssertionError("count() does not end")
