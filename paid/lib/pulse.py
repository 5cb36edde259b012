"""Each process says in Redis, every few seconds, that it lives and how its pool of database connections fares.

A process that is gone stops saying so, and its entry expires. Without Redis nobody knows, and nothing else suffers.
"""

import contextlib
import json
import os
import socket
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import redis
from django.conf import settings
from django.db import DEFAULT_DB_ALIAS, connections

INTERVAL_SECONDS = 5.0
# Three missed beats.
EXPIRES_SECONDS = 16
CLIENT_SECONDS = 1.0
PREFIX = "paid:pulse:"

Counts = Mapping[str, int]
AskPool = Callable[[], Counts]


@dataclass(frozen=True)
class Pool:
    """Since the process started: `waited` requests found no free connection, and waited `wait_ms` in sum."""

    size: int
    most: int
    free: int
    waiting: int
    requests: int
    waited: int
    wait_ms: int
    errors: int

    @classmethod
    def of(cls, counts: Counts) -> "Pool":
        """From `psycopg_pool.get_stats()`, which leaves out what is zero."""
        return cls(
            size=counts.get("pool_size", 0),
            most=counts.get("pool_max", 0),
            free=counts.get("pool_available", 0),
            waiting=counts.get("requests_waiting", 0),
            requests=counts.get("requests_num", 0),
            waited=counts.get("requests_queued", 0),
            wait_ms=counts.get("requests_wait_ms", 0),
            errors=counts.get("requests_errors", 0),
        )

    @property
    def mean_wait_ms(self) -> float:
        return self.wait_ms / self.waited if self.waited else 0.0


@dataclass(frozen=True)
class Beat:
    program: str
    host: str
    pid: int
    started_at: float
    pool: Pool

    @property
    def uptime_seconds(self) -> float:
        return max(time.time() - self.started_at, 0.0)


def django_pool() -> Counts:
    """Of the pool behind `default` in this process."""
    database: Any = connections[DEFAULT_DB_ALIAS]
    counts: Counts = database.pool.get_stats() if database.pool is not None else {}
    return counts


class Pulse:
    """The beat of one process, in a thread that dies with it."""

    def __init__(self, program: str, ask_pool: AskPool = django_pool) -> None:
        self._program, self._ask_pool = program, ask_pool
        self._started_at = time.time()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._beat_for_ever, name="pulse", daemon=True)

    def start(self) -> "Pulse":
        self._thread.start()
        return self

    def stop(self) -> None:
        self._stop.set()
        self._thread.join()

    def beat(self, client: redis.Redis) -> None:
        pool = Pool.of(self._ask_pool())
        beat = Beat(self._program, socket.gethostname(), os.getpid(), self._started_at, pool)
        client.set(f"{PREFIX}{beat.program}:{beat.host}:{beat.pid}", json.dumps(asdict(beat)), ex=EXPIRES_SECONDS)

    def _beat_for_ever(self) -> None:
        with _client() as client:
            while not self._stop.is_set():
                # The page of operations says that Redis is away; each process need not.
                with contextlib.suppress(redis.RedisError, OSError):
                    self.beat(client)
                self._stop.wait(INTERVAL_SECONDS)


def beats() -> list[Beat] | None:
    """Every process that lives, by program and host; None when Redis does not answer."""
    try:
        with _client() as client:
            found = client.mget(list(client.scan_iter(f"{PREFIX}*", count=500)) or [PREFIX])
    except (redis.RedisError, OSError):
        return None
    values = [json.loads(value) for value in found if value is not None]
    read = [Beat(**{**value, "pool": Pool(**value["pool"])}) for value in values]
    return sorted(read, key=lambda beat: (beat.program, beat.host, beat.pid))


def _client() -> redis.Redis:
    return redis.Redis.from_url(
        settings.REDIS_URL, socket_timeout=CLIENT_SECONDS, socket_connect_timeout=CLIENT_SECONDS
    )
