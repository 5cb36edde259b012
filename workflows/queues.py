"""How much waits, and for how long: the outbox, Celery's list in Redis, Temporal's queues."""

import asyncio
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import redis
from django.conf import settings
from django.db.models import Count, Min, Q
from django.db.models.functions import Now
from temporalio.api.enums.v1 import TaskQueueType
from temporalio.api.taskqueue.v1 import TaskQueue
from temporalio.api.workflowservice.v1 import DescribeTaskQueueRequest
from temporalio.service import RPCError

from paid.lib.temporal import connect
from workflows.contracts import AGENTS_QUEUE, CONTROL_QUEUE
from workflows.models import OutboxCommand

CLIENT_SECONDS = 1.0
CELERY_QUEUE = "celery"


@dataclass(frozen=True)
class Queue:
    """`waiting` is None when its server does not answer; `troubled` were tried before, in vain."""

    name: str
    waiting: int | None
    oldest_at: datetime | None = None
    troubled: int = 0


def outbox_queue() -> Queue:
    """Commands to Temporal that are due and not delivered. Served by the partial index `outbox_due`."""
    found: dict[str, Any] = OutboxCommand.objects.filter(delivered_at__isnull=True).aggregate(
        waiting=Count("pk", filter=Q(available_at__lte=Now())),
        oldest_at=Min("created_at"),
        troubled=Count("pk", filter=Q(attempts__gt=1)),
    )
    return Queue("outbox", found["waiting"], found["oldest_at"], found["troubled"])


def celery_queue() -> Queue:
    try:
        with redis.Redis.from_url(
            settings.CELERY_BROKER_URL, socket_timeout=CLIENT_SECONDS, socket_connect_timeout=CLIENT_SECONDS
        ) as client:
            return Queue(CELERY_QUEUE, int(client.llen(CELERY_QUEUE)))
    except (redis.RedisError, OSError):
        return Queue(CELERY_QUEUE, None)


async def temporal_queues() -> list[Queue]:
    """Tasks of each queue that no worker has taken, as Temporal estimates them."""
    return list(await asyncio.gather(*(_temporal_queue(name) for name in (CONTROL_QUEUE, AGENTS_QUEUE))))


async def _temporal_queue(name: str) -> Queue:
    kinds = (TaskQueueType.TASK_QUEUE_TYPE_WORKFLOW, TaskQueueType.TASK_QUEUE_TYPE_ACTIVITY)
    try:
        async with asyncio.timeout(CLIENT_SECONDS):
            client = await connect()
            answers = [
                await client.workflow_service.describe_task_queue(
                    DescribeTaskQueueRequest(
                        namespace=settings.TEMPORAL_NAMESPACE,
                        task_queue=TaskQueue(name=name),
                        task_queue_type=kind,
                        report_stats=True,
                    )
                )
                for kind in kinds
            ]
    except (RPCError, RuntimeError, TimeoutError):
        return Queue(f"Temporal: {name}", None)
    return Queue(f"Temporal: {name}", sum(answer.stats.approximate_backlog_count for answer in answers))
