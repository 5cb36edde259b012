"""What happens to a run whose workflow is gone, against a real Temporal server."""

import asyncio
from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from django.db import connections
from django.utils import timezone
from temporalio.client import Client

from agent_runs.models import AgentRun, RunStatus
from paid.lib.tenancy import platform
from tests.database import owner_connection
from tests.factories.agent_runs import AgentRunFactory
from tests.factories.workflows import OutboxCommandFactory, WorkflowStateFactory
from workflows.contracts import ISSUE_WORKFLOW, IssueInput, issue_workflow_id
from workflows.models import WorkflowState
from workflows.reconciliation import Reconciliation

pytestmark = pytest.mark.django_db(transaction=True)
LONG_AGO = timezone.now() - timedelta(hours=1)
NOBODY = "nobody-serves-this"


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await Client.connect(temporal_address)


async def in_database(function: Callable[[], Any]) -> Any:
    def call() -> Any:
        try:
            return function()
        finally:
            connections.close_all()

    return await asyncio.to_thread(call)


def quiet_run() -> AgentRun:
    """A live run that nothing has happened to for an hour."""
    run: AgentRun = AgentRunFactory()
    with owner_connection() as owner:
        owner.execute("SET LOCAL session_replication_role = replica")
        owner.execute("UPDATE agent_runs SET updated_at = %s WHERE id = %s", [LONG_AGO, run.pk])
    return run


def read(run: AgentRun) -> AgentRun:
    with platform():
        return AgentRun.objects.get(pk=run.pk)


async def test_a_run_whose_workflow_is_gone_fails_in_words(client: Client):
    run = await in_database(quiet_run)
    await Reconciliation(client).reconcile()
    after = await in_database(lambda: read(run))
    assert (after.status, after.error_code) == (RunStatus.FAILED, "workflow_lost")
    assert after.error.endswith("Retry the run.")
    assert after.finished_at is not None


async def test_a_run_whose_issue_still_has_a_workflow_is_left_alone(client: Client):
    run = await in_database(quiet_run)
    workflow_id = issue_workflow_id(run.project_id, run.issue.number)
    await client.start_workflow(ISSUE_WORKFLOW, IssueInput(), id=workflow_id, task_queue=NOBODY)
    await Reconciliation(client).reconcile()
    await client.get_workflow_handle(workflow_id).terminate()
    assert (await in_database(lambda: read(run))).status == RunStatus.QUEUED


async def test_a_run_whose_command_still_waits_is_left_alone(client: Client):
    run = await in_database(quiet_run)
    workflow_id = issue_workflow_id(run.project_id, run.issue.number)
    await in_database(lambda: OutboxCommandFactory(account=run.account, workflow_id=workflow_id))
    await Reconciliation(client).reconcile()
    assert (await in_database(lambda: read(run))).status == RunStatus.QUEUED


async def test_the_projection_follows_what_temporal_says(client: Client):
    handle = await client.start_workflow(ISSUE_WORKFLOW, IssueInput(), id="issue-9-9", task_queue=NOBODY)
    state = await in_database(
        lambda: WorkflowStateFactory(workflow_id="issue-9-9", temporal_run_id=handle.result_run_id, started_at=LONG_AGO)
    )
    await Reconciliation(client).reconcile()
    assert (await in_database(lambda: state_of(state))).status == "running"
    await handle.terminate()
    await Reconciliation(client).reconcile()
    after = await in_database(lambda: state_of(state))
    assert (after.status, after.finished_at is not None) == ("terminated", True)


def state_of(state: WorkflowState) -> WorkflowState:
    with platform():
        return WorkflowState.objects.get(pk=state.pk)
