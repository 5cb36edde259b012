"""`/healthz`: whether everything that a run needs answers. For supervisors and load balancers, without sign-in."""

import asyncio
import contextlib
import time
from collections.abc import Awaitable, Callable, Mapping
from weakref import WeakKeyDictionary

import redis.asyncio
from asgiref.sync import sync_to_async
from django.conf import settings
from django.db import connection
from django.http import HttpRequest, JsonResponse
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.client import Client

PART_SECONDS = 3.0
# Anybody may ask, and each look opens connections to four servers.
FRESH_SECONDS = 1.0
QUEUES = ("control", "agents")


async def healthz(request: HttpRequest) -> JsonResponse:
    """200 when every part answers, otherwise 503; names the parts, and never says why to a stranger."""
    checks = await latest_parts()
    is_healthy = all(state == "ok" for state in checks.values())
    answer = JsonResponse({"status": "ok" if is_healthy else "failing", "checks": checks})
    answer.status_code = 200 if is_healthy else 503
    answer["Cache-Control"] = "no-store"
    return answer


class _Latest:
    """What was found last, for everybody who asks within FRESH_SECONDS; who asks during a look waits for that one."""

    def __init__(self) -> None:
        self._found: Mapping[str, str] = {}
        self._found_at = float("-inf")
        # A lock belongs to one event loop, and tests have many.
        self._locks: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Lock] = WeakKeyDictionary()

    async def look(self) -> dict[str, str]:
        async with self._locks.setdefault(asyncio.get_running_loop(), asyncio.Lock()):
            if time.monotonic() - self._found_at >= FRESH_SECONDS:
                self._found = await state_of_parts()
                self._found_at = time.monotonic()
            return dict(self._found)


async def state_of_parts() -> dict[str, str]:
    """`ok` or `failing` for each part, asked for side by side."""
    parts: dict[str, Callable[[], Awaitable[bool]]] = {
        "database": sync_to_async(_database_answers),
        "redis": _redis_answers,
        "temporal": _workers_poll,
        "gateway": _gateway_listens,
    }
    states = await asyncio.gather(*(_state(part) for part in parts.values()))
    return dict(zip(parts, states, strict=True))


_latest = _Latest()


async def latest_parts() -> dict[str, str]:
    """`state_of_parts`, at most FRESH_SECONDS old."""
    return await _latest.look()


async def _state(part: Callable[[], Awaitable[bool]]) -> str:
    try:
        async with asyncio.timeout(PART_SECONDS):
            return "ok" if await part() else "failing"
    except Exception:  # whatever a client library raises here means the same: this part does not answer
        return "failing"


def _database_answers() -> bool:
    with connection.cursor() as cursor:
        cursor.execute("SELECT 1")
        return bool(cursor.fetchone() == (1,))


async def _redis_answers() -> bool:
    async with redis.asyncio.from_url(settings.REDIS_URL) as client:
        return bool(await client.ping())


async def _workers_poll() -> bool:
    """Temporal answers, and each queue has a worker that asked for work of late."""
    client = await Client.connect(settings.TEMPORAL_ADDRESS, namespace=settings.TEMPORAL_NAMESPACE)
    for queue in QUEUES:
        description = await client.workflow_service.describe_task_queue(
            DescribeTaskQueueRequest(
                namespace=settings.TEMPORAL_NAMESPACE,
                task_queue=TaskQueue(name=queue),
                task_queue_type=TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY,
            )
        )
        if not description.pollers:
            return False
    return True


async def _gateway_listens() -> bool:
    _, writer = await asyncio.open_unix_connection(str(settings.GATEWAY_SOCKET))
    writer.close()
    with contextlib.suppress(OSError):
        await writer.wait_closed()
    return True
