from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from typing import Any

import pytest
from django.core.management import call_command
from temporalio.testing import WorkflowEnvironment

from agent_runs.supervisor import stop_all
from tests.metrics.conftest import GatewayServer, eventually, gateway, model_server, start_gateway
from tests.workflows.house import House, environment_of_workers
from tests.workflows.playing import path_of_test_server
from workflows.contracts import AGENTS_QUEUE, CONTROL_QUEUE

__all__ = ["eventually", "gateway", "house", "model_server", "skipping", "start_gateway"]


@pytest.fixture
async def skipping() -> AsyncIterator[WorkflowEnvironment]:
    """A Temporal server in which waiting takes no time."""
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=path_of_test_server()
    ) as environment:
        yield environment


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
    assert stop_all(str(settings.RUNS_DIR), "The test is over.", timeout_seconds=60) == []
