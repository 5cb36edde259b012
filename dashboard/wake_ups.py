"""Waiting for news of a run: a message on its Redis channel, or the poll interval, whichever is first."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import structlog
from django.conf import settings
from redis.asyncio import Redis
from redis.exceptions import RedisError

from agent_runs.live import channel

logger = structlog.get_logger(__name__)

Wait = Callable[[float], Awaitable[None]]


@asynccontextmanager
async def wake_ups(run_id: int) -> AsyncIterator[Wait]:
    """Gives `wait(seconds)`, which returns early when the run has news. Without Redis it only sleeps."""
    client: Redis = Redis.from_url(settings.REDIS_URL, socket_connect_timeout=1)
    subscription = client.pubsub(ignore_subscribe_messages=True)
    is_listening = await _subscribed(subscription, run_id)

    async def wait(seconds: float) -> None:
        nonlocal is_listening
        if is_listening:
            try:
                await subscription.get_message(timeout=seconds)
            except (RedisError, OSError):
                is_listening = False
                logger.warning("live_log.polling", run_id=run_id)
            else:
                return
        await asyncio.sleep(seconds)

    try:
        yield wait
    finally:
        await subscription.aclose()  # type: ignore[no-untyped-call]  # redis has no types here
        await client.aclose()


async def _subscribed(subscription: object, run_id: int) -> bool:
    try:
        await subscription.subscribe(channel(run_id))  # type: ignore[attr-defined]
    except (RedisError, OSError):
        logger.warning("live_log.polling", run_id=run_id)
        return False
    return True
