"""Reads of the dashboard on a replica: one that is alive, hardly behind, and has replayed the reader's own last write.

`reading_from` puts the replica's connection in the place of `default` for the thread. A router of Django's would move
querysets only: raw SQL, and the `SET LOCAL` that says who is asking, would stay on the primary, and the page's queries
would show nothing to a tenant who was named on another connection.

Writes never come here: a replica refuses them, and the middleware answers such a page from the primary.
"""

import time
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


@dataclass(frozen=True)
class ReplicaState:
    """`lag_seconds` is None when it does not answer."""

    alias: str
    address: str
    lag_seconds: float | None
    is_streaming: bool
    has_replayed: bool

    @property
    def is_usable(self) -> bool:
        is_near = self.lag_seconds is not None and self.lag_seconds <= settings.REPLICA_MAX_LAG_SECONDS
        return self.is_streaming and is_near


def aliases() -> list[str]:
    return sorted(alias for alias in connections.settings if alias.startswith(PREFIX))


def choose(last_write: str) -> str | None:
    """The alias of a replica that has replayed `last_write`, or None: read from the primary.

    They take turns by the clock, so that processes which know nothing of each other spread their load.
    """
    known = aliases()
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
            cursor.execute(statement("paid.lib", "replica_queries", "replica_state"), [last_write])
            is_replica, is_streaming, has_replayed, lag = cursor.fetchone()
    except (DatabaseError, InterfaceError):
        shun(alias)
        return ReplicaState(alias, address, None, is_streaming=False, has_replayed=False)
    return ReplicaState(alias, address, lag, is_replica and is_streaming, has_replayed)


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
