"""The Temporal workers: `control` runs workflows and the outbox sweep, `agents` what touches one host's agents."""

import asyncio
import hashlib
import inspect
import logging
import os
import socket
from collections.abc import Callable, Coroutine
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from pathlib import Path
from typing import Any

from temporalio.client import Client
from temporalio.common import WorkerDeploymentVersion
from temporalio.service import RPCError
from temporalio.worker import Worker, WorkerDeploymentConfig

from paid.lib.temporal import connect
from workflows.activities import AGENTS_ACTIVITIES, CONTROL_ACTIVITIES
from workflows.connections import ReleaseConnections
from workflows.contracts import AGENTS_QUEUE, CONTROL_QUEUE
from workflows.evolution_workflow import EvolvePromptWorkflow
from workflows.issue_workflow import IssueWorkflow
from workflows.left_overs import clear_left_overs_for_ever
from workflows.outbox import OutboxSweep
from workflows.poll_workflow import PollProjectWorkflow
from workflows.reconciliation import Reconciliation
from workflows.run_workflow import RunWorkflow
from workflows.schedules import Schedules
from workflows.webhook_inbox import WebhookInboxWorkflow

logger = logging.getLogger(__name__)

WORKFLOWS = [IssueWorkflow, RunWorkflow, WebhookInboxWorkflow, PollProjectWorkflow, EvolvePromptWorkflow]
# A cancellation reaches an activity with the answer to a heartbeat: not later than this.
HEARTBEAT_THROTTLE = timedelta(seconds=1)
GRACEFUL_SHUTDOWN = timedelta(seconds=8)
CONNECT_SECONDS = 1.0
QUEUES = (CONTROL_QUEUE, AGENTS_QUEUE)


def _code_of_workflows() -> str:
    """Differs wherever a workflow's file does."""
    code = b"".join(Path(inspect.getfile(workflow)).read_bytes() for workflow in WORKFLOWS)
    return hashlib.sha256(code).hexdigest()[:12]


# Temporal shows which code took a task. Left to itself it would hash all modules of the process for that, which takes
# as long as the rest of a worker's start.
DEPLOYMENT = WorkerDeploymentConfig(WorkerDeploymentVersion("paid", _code_of_workflows()), use_worker_versioning=False)


def make_worker(client: Client, queue: str, *, threads: int) -> Worker:
    """A worker for one queue. `threads` is how many activities run at once: an agent takes one while it works."""
    return Worker(
        client,
        task_queue=queue,
        workflows=WORKFLOWS if queue == CONTROL_QUEUE else [],
        activities=CONTROL_ACTIVITIES if queue == CONTROL_QUEUE else AGENTS_ACTIVITIES,
        activity_executor=ThreadPoolExecutor(max_workers=threads, thread_name_prefix=f"{queue}-activity"),
        max_concurrent_activities=threads,
        max_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        default_heartbeat_throttle_interval=HEARTBEAT_THROTTLE,
        graceful_shutdown_timeout=GRACEFUL_SHUTDOWN,
        interceptors=[ReleaseConnections()],
        deployment_config=DEPLOYMENT,
        identity=f"{queue}@{socket.gethostname()}:{os.getpid()}",
    )


async def run_worker(queue: str, *, threads: int, stop: asyncio.Event, ready: Callable[[], None]) -> None:
    """Serve `queue` until `stop` is set. Waits for a Temporal server that is not there yet."""
    client = await _connect_patiently(stop)
    if client is None:
        return
    background: list[Coroutine[Any, Any, None]]
    if queue == CONTROL_QUEUE:
        background = [OutboxSweep(client).run(), Reconciliation(client).run(), Schedules(client).run()]
    else:
        background = [clear_left_overs_for_ever()]
    async with make_worker(client, queue, threads=threads):
        tasks = [asyncio.create_task(work) for work in background]
        ready()
        await stop.wait()
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)


async def _connect_patiently(stop: asyncio.Event) -> Client | None:
    while not stop.is_set():
        try:
            return await connect()
        except (RPCError, RuntimeError) as error:
            logger.warning("Temporal does not answer yet: %s", error)
            try:
                await asyncio.wait_for(stop.wait(), CONNECT_SECONDS)
            except TimeoutError:
                continue
    return None
