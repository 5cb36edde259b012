import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

import pytest
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from tests.workflows.steps import Steps
from workflows.contracts import AGENTS_QUEUE, CONTROL_QUEUE
from workflows.issue_workflow import IssueWorkflow
from workflows.run_workflow import RunWorkflow


def test_server_path() -> str:
    beside_python = Path(sys.executable).parent / "temporal-test-server"
    found = str(beside_python) if beside_python.is_file() else shutil.which("temporal-test-server")
    assert found is not None
    return found


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server in which waiting takes no time."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=test_server_path()
    ) as environment:
        yield environment


@asynccontextmanager
async def workers(client: Client, steps: Steps, *, queues: tuple[str, ...] = (CONTROL_QUEUE, AGENTS_QUEUE)):
    """Both queues served in this process, the steps played by `steps`."""
    async with AsyncExitStack() as stack:
        for queue in queues:
            worker = Worker(
                client,
                task_queue=queue,
                workflows=[IssueWorkflow, RunWorkflow] if queue == CONTROL_QUEUE else [],
                activities=steps.all(),
                max_heartbeat_throttle_interval=timedelta(milliseconds=100),
            )
            await stack.enter_async_context(worker)
        yield
