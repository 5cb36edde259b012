"""Workflows on a test server, with the steps played."""

import shutil
import sys
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path

from temporalio.client import Client
from temporalio.worker import UnsandboxedWorkflowRunner, Worker
from temporalio.worker.workflow_sandbox import SandboxedWorkflowRunner

from tests.workflows.steps import Steps
from workflows.contracts import AGENTS_QUEUE, CONTROL_QUEUE
from workflows.issue_workflow import IssueWorkflow
from workflows.run_workflow import RunWorkflow
from workflows.worker import DEPLOYMENT


def path_of_test_server() -> str:
    beside_python = Path(sys.executable).parent / "temporal-test-server"
    found = str(beside_python) if beside_python.is_file() else shutil.which("temporal-test-server")
    assert found is not None, "temporal-test-server is not installed: run `make test`, which builds .venv"
    return found


@asynccontextmanager
async def workers(
    client: Client,
    steps: Steps,
    *,
    queues: tuple[str, ...] = (CONTROL_QUEUE, AGENTS_QUEUE),
    is_sandboxed: bool = True,
) -> AsyncIterator[None]:
    """Both queues served in this process, the steps played by `steps`.

    Temporal's sandbox imports a workflow's module anew; without it the module is the one that a test has changed.
    """
    runner = SandboxedWorkflowRunner() if is_sandboxed else UnsandboxedWorkflowRunner()
    async with AsyncExitStack() as stack:
        for queue in queues:
            worker = Worker(
                client,
                task_queue=queue,
                workflows=[IssueWorkflow, RunWorkflow] if queue == CONTROL_QUEUE else [],
                activities=steps.all(),
                workflow_runner=runner,
                max_heartbeat_throttle_interval=timedelta(milliseconds=100),
                deployment_config=DEPLOYMENT,
            )
            await stack.enter_async_context(worker)
        yield
