import shutil
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import AsyncExitStack, asynccontextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from temporalio.client import Client
from temporalio.testing import WorkflowEnvironment
from temporalio.worker import Worker

from agent_runs.supervisor import stop_all
from tests.metrics.conftest import GatewayServer, gateway, model_server, start_gateway
from tests.workflows.house import House, environment_of_workers
from tests.workflows.steps import Steps
from workflows.contracts import AGENTS_QUEUE, CONTROL_QUEUE
from workflows.issue_workflow import IssueWorkflow
from workflows.run_workflow import RunWorkflow

__all__ = ["gateway", "house", "model_server", "skipping", "start_gateway"]


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


@pytest.fixture
def house(gateway: GatewayServer, temporal_address: str, settings: Any, tmp_path: Path) -> Iterator[House]:
    """Gateway, scripted model and both workers; seeded prompts and models."""
    settings.RUNS_DIR = tmp_path / "runs"
    settings.REPOSITORIES_DIR = tmp_path / "repositories"
    settings.GATEWAY_SOCKET = gateway.socket
    call_command("seed_prompts", verbosity=0)
    call_command("sync_models", verbosity=0)
    logs = tmp_path / "logs"
    logs.mkdir()
    built = House(environment_of_workers(temporal_address), logs)
    built.start_worker(CONTROL_QUEUE)
    built.start_worker(AGENTS_QUEUE)
    yield built
    built.stop()
    assert stop_all(str(settings.RUNS_DIR), "The test is over.") == []
