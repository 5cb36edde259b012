"""Wake-ups for whoever looks at a run. They carry nothing: the rows are in the database, and polling finds them too."""

from functools import cache

import structlog
from django.conf import settings
from redis import Redis
from redis.exceptions import RedisError

logger = structlog.get_logger(__name__)


def channel(run_id: int) -> str:
    return f"paid:run:{run_id}"


@cache
def _client() -> Redis:
    # Short: a log writer must not wait for a server that is only a convenience.
    return Redis.from_url(settings.REDIS_URL, socket_connect_timeout=0.5, socket_timeout=0.5)


def wake(run_id: int) -> None:
    """Tell open pages that the run has news. Without Redis they poll."""
    try:
        _client().publish(channel(run_id), b"")
    except RedisError:
        logger.warning("live_log.not_woken", run_id=run_id)
