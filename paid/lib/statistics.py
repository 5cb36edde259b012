"""What the database server says of itself: slow statements, and who streams from it. Read as the platform."""

from dataclasses import dataclass

from django.db import connection

ORDERINGS = ("total", "mean", "calls")


@dataclass(frozen=True)
class SlowStatement:
    """Times in milliseconds since the statistics were last reset. `hit_share`: of blocks found in shared buffers."""

    query: str
    role: str
    calls: int
    total_ms: float
    mean_ms: float
    max_ms: float
    rows: int
    hit_share: float | None


@dataclass(frozen=True)
class Receiver:
    """A replica (or a base backup's stream) as the primary sees it."""

    name: str
    address: str
    state: str
    behind_bytes: int | None
    behind_seconds: float | None


def slowest_statements(ordering: str, at_most: int) -> list[SlowStatement]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM slowest_statements(%s, %s)", [ordering, at_most])
        return [SlowStatement(*row) for row in cursor.fetchall()]


def receivers() -> list[Receiver]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT * FROM replication_states()")
        return [Receiver(*row) for row in cursor.fetchall()]
