"""So many of something in a minute: counted by all processes together, and by each alone while Redis is away.

A process takes its share from Redis in slices and counts them down by itself, so that most requests ask nobody. What it
has taken and not used is not there for others: several processes never let more pass than the quota, and close to it
up to one slice each less.
"""

import time
from dataclasses import dataclass
from functools import cache
from threading import Lock

import structlog
from django.conf import settings
from redis import Redis
from redis.backoff import NoBackoff
from redis.exceptions import RedisError
from redis.retry import Retry

logger = structlog.get_logger(__name__)

SLICES = 50
# A request waits so long for Redis and no longer; then nobody asks it for a while.
PATIENCE_SECONDS = 0.005
AWAY_SECONDS = 5.0
# Keys come from strangers. Who fills a window with more of them makes this process ask Redis again, and no more.
MOST_KEYS = 20_000


@dataclass(frozen=True)
class Standing:
    """How somebody stands in the present window, as the fields RateLimit and Retry-After say it."""

    remaining: int
    reset_seconds: int
    is_exceeded: bool


@dataclass
class _Taken:
    """`own` is what this process has taken, `free` of it unused; `total` what all have taken, as far as it knows."""

    own: int = 0
    free: int = 0
    total: int = 0


@cache
def _client(url: str) -> Redis:
    return Redis.from_url(
        url,
        socket_connect_timeout=PATIENCE_SECONDS,
        socket_timeout=PATIENCE_SECONDS,
        retry=Retry(NoBackoff(), 0),
        driver_info=None,  # spares a new connection two round trips
    )


class RateLimit:
    """At most `quota` a window for each key. Windows begin at the same moment for everybody."""

    def __init__(self, name: str, quota: int, window_seconds: int = 60) -> None:
        self.name, self.quota, self.window_seconds = name, quota, window_seconds
        self._slice = max(quota // SLICES, 1)
        self._lock = Lock()
        self._window = 0
        self._taken: dict[str, _Taken] = {}
        self._away_until = 0.0

    def take(self, key: str) -> Standing:
        """Count one. Where the quota is used up it is not counted, and the standing says so."""
        now = time.time()
        with self._lock:
            taken = self._of(key, now)
            if taken.free or taken.total >= self.quota:
                return self._use(taken, now)
        # Without the lock: whoever comes meanwhile takes a slice as well, which is used later.
        total = self._ask(key, now)
        with self._lock:
            taken.own += self._slice
            taken.total = max(taken.total, taken.own, total)
            taken.free += max(self._slice - max(taken.total - self.quota, 0), 0)
            return self._use(taken, now)

    def is_exceeded(self, key: str) -> bool:
        """Whether nothing is left, as far as this process knows; counts nothing and asks nobody."""
        with self._lock:
            taken = self._of(key, time.time())
            return not taken.free and taken.total >= self.quota

    def standing(self, key: str) -> Standing:
        now = time.time()
        with self._lock:
            return self._standing(self._of(key, now), now)

    def _of(self, key: str, now: float) -> _Taken:
        window = int(now // self.window_seconds)
        if window != self._window or len(self._taken) >= MOST_KEYS:
            self._window, self._taken = window, {}
        return self._taken.setdefault(key, _Taken())

    def _use(self, taken: _Taken, now: float) -> Standing:
        is_exceeded = not taken.free
        taken.free = max(taken.free - 1, 0)
        return self._standing(taken, now, is_exceeded=is_exceeded)

    def _standing(self, taken: _Taken, now: float, *, is_exceeded: bool = False) -> Standing:
        remaining = max(self.quota - taken.total, 0) + taken.free
        reset_seconds = self.window_seconds - int(now % self.window_seconds)
        return Standing(remaining, reset_seconds, is_exceeded)

    def _ask(self, key: str, now: float) -> int:
        """Take a slice; gives what all processes have taken by then, 0 while Redis is away."""
        if time.monotonic() < self._away_until:
            return 0
        name = f"paid:rate:{self.name}:{int(now // self.window_seconds)}:{key}"
        try:
            with _client(settings.REDIS_URL).pipeline(transaction=False) as pipeline:
                pipeline.incrby(name, self._slice)
                pipeline.expire(name, 2 * self.window_seconds)
                return int(pipeline.execute()[0])
        except RedisError as error:
            self._away_until = time.monotonic() + AWAY_SECONDS
            logger.warning("rate_limit.counted_alone", limit=self.name, error=type(error).__name__)
            return 0
