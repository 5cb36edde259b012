"""Reads of the dashboard on a replica: one that is alive, hardly behind, and has replayed the reader's own last write.

`reading_from` puts the replica's connection in the place of `default` for the thread. A router of Django's would move
querysets only: raw SQL, and the `SET LOCAL` that says who is asking, would stay on the primary, and the page's queries
would show nothing to a tenant who was named on another connection.

Writes never come here: a replica refuses them, and the middleware answers such a page from the primary.
"""

import threading
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, DatabaseError, InterfaceError, connections
from prometheus_client import Counter

from paid.lib.sql import statement

PREFIX = "replica_"
# After a failure a replica is left alone for a while: one request pays for its silence, not each of them.
SHUNNED_SECONDS = 5.0
BEGINNING = "0/0"
pages = Counter("paid_dashboard_pages", "Pages of accounts, by the server that they were read from.", ["server"])

_shunned_until: dict[str, float] = {}


class Marks:
    """Where the primary's log stood, and when this process saw it there.

    A replica knows what it has received, not what there is: one whose stream stands still believes that it has it all.
    """

    PER_LIMIT = 10  # so often is the primary asked in the time that a replica may be behind

    def __init__(self) -> None:
        self._seen: deque[tuple[float, str]] = deque()
        self._next_at = 0.0
        self._lock = threading.Lock()

    def note(self) -> None:
        """Ask the primary, unless somebody in this process asked it just now."""
        with self._lock:
            if time.monotonic() < self._next_at:
                return
            self._next_at = time.monotonic() + settings.REPLICA_MAX_LAG_SECONDS / self.PER_LIMIT
        with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
            cursor.execute(statement("paid.lib", "replica_queries", "primary_flushed"))
            flushed = str(cursor.fetchone()[0])
        with self._lock:
            self._seen.append((time.monotonic(), flushed))

    def due(self) -> str:
        """What a replica that is near enough has replayed: the newest mark as old as a replica may be behind."""
        until = time.monotonic() - settings.REPLICA_MAX_LAG_SECONDS
        with self._lock:
            while len(self._seen) > 1 and self._seen[1][0] <= until:
                self._seen.popleft()
            return self._seen[0][1] if self._seen and self._seen[0][0] <= until else BEGINNING

    def clear(self) -> None:
        with self._lock:
            self._seen.clear()
            self._next_at = 0.0


_marks = Marks()


@dataclass(frozen=True)
class ReplicaState:
    """`lag_seconds`, of what it has received, is None when it does not answer.

    `keeps_up`: it has replayed what the primary had when a replica may be behind at most, as far as this process knows.
    """

    alias: str
    address: str
    lag_seconds: float | None
    is_streaming: bool
    has_replayed: bool
    keeps_up: bool

    @property
    def is_usable(self) -> bool:
        is_near = self.lag_seconds is not None and self.lag_seconds <= settings.REPLICA_MAX_LAG_SECONDS
        return self.is_streaming and is_near and self.keeps_up


def aliases() -> list[str]:
    return sorted(alias for alias in connections.settings if alias.startswith(PREFIX))


def choose(last_write: str) -> str | None:
    """The alias of a replica that has replayed `last_write`, or None: read from the primary.

    They take turns by the clock, so that processes which know nothing of each other spread their load.
    """
    known = aliases()
    if known:
        _marks.note()
    turn = time.monotonic_ns() // 1_000 % len(known) if known else 0
    for alias in known[turn:] + known[:turn]:
        if time.monotonic() < _shunned_until.get(alias, 0.0):
            continue
        state = look(alias, last_write)
        if state.is_usable and state.has_replayed:
            return alias
    return None


def look(alias: str, last_write: str = BEGINNING) -> ReplicaState:
    """Ask one replica; one that does not answer is shunned for a while."""
    replica = connections[alias]
    address = f"{replica.settings_dict['HOST'] or 'socket'}:{replica.settings_dict['PORT'] or 5432}"
    try:
        with replica.cursor() as cursor:
            cursor.execute(statement("paid.lib", "replica_queries", "replica_state"), [last_write, _marks.due()])
            is_replica, is_streaming, has_replayed, keeps_up, lag = cursor.fetchone()
    except (DatabaseError, InterfaceError):
        shun(alias)
        return ReplicaState(alias, address, None, is_streaming=False, has_replayed=False, keeps_up=False)
    return ReplicaState(alias, address, lag, is_replica and is_streaming, has_replayed, keeps_up)


def shun(alias: str) -> None:
    _shunned_until[alias] = time.monotonic() + SHUNNED_SECONDS
    connections[alias].close()


def position() -> str:
    """Where the primary's log stands: a replica that has replayed this far has every commit before this call."""
    with connections[DEFAULT_DB_ALIAS].cursor() as cursor:
        cursor.execute(statement("paid.lib", "replica_queries", "primary_position"))
        return str(cursor.fetchone()[0])


@contextmanager
def reading_from(alias: str) -> Iterator[None]:
    """For this thread and block, `default` is the replica. Enter it outside of any transaction."""
    primary = connections[DEFAULT_DB_ALIAS]
    connections[DEFAULT_DB_ALIAS] = connections[alias]
    try:
        yield
    finally:
        connections[DEFAULT_DB_ALIAS] = primary
