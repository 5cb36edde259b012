"""The outbox against a real Temporal server: what was committed arrives, and arrives in effect once."""

import asyncio
import uuid
from collections.abc import AsyncIterator
from datetime import timedelta
from typing import Any

import pytest
from django.db import transaction
from django.utils import timezone
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client

import workflows.outbox
from paid.lib import outbox
from paid.lib.tenancy import platform, tenant
from tests.factories.accounts import AccountFactory
from tests.factories.workflows import OutboxCommandFactory
from workflows.connections import released_connections
from workflows.models import OutboxCommand, WorkflowState
from workflows.outbox import OutboxSweep, claim_due

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
async def client(temporal_address: str) -> Client:
    return await Client.connect(temporal_address)


@pytest.fixture
async def sweeping(client: Client, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[OutboxSweep]:
    """Only a notification wakes it: the fall-back poll comes in an hour."""
    monkeypatch.setattr(workflows.outbox, "POLL_SECONDS", 3_600.0)
    sweep = OutboxSweep(client)
    task = asyncio.create_task(sweep.run(), name="sweep")
    yield sweep
    task.cancel()
    assert (await asyncio.wait({task}, timeout=60))[0], "it does not end"


async def in_database(function: Any, *arguments: Any, **options: Any) -> Any:
    def call() -> Any:
        with released_connections():
            return function(*arguments, **options)

    return await asyncio.to_thread(call)


def row(pk: int) -> OutboxCommand:
    with platform():
        return OutboxCommand.objects.get(pk=pk)


def write_command(workflow_id: str, *, roll_back: bool = False) -> int:
    account = AccountFactory()
    with tenant(account.pk):
        outbox.command(
            account_id=account.pk,
            workflow_type="IssueWorkflow",
            workflow_id=workflow_id,
            task_queue="nobody-serves-this",
            signal="start_run",
            payload={"account_id": account.pk, "run_id": 7},
            dedupe_key="run-7-start_run",
        )
        if roll_back:
            transaction.set_rollback(True)
    return int(account.pk)


async def signals_of(client: Client, workflow_id: str) -> list[str]:
    handle = client.get_workflow_handle(workflow_id)
    wanted = EventType.EVENT_TYPE_WORKFLOW_EXECUTION_SIGNALED
    return [
        event.workflow_execution_signaled_event_attributes.signal_name
        async for event in handle.fetch_history_events()
        if event.event_type == wanted
    ]


async def delivered(pk: int) -> OutboxCommand:
    while True:
        command: OutboxCommand = await in_database(row, pk)
        if command.delivered_at is not None:
            return command
        await asyncio.sleep(0.02)


def new_id() -> str:
    return f"issue-{uuid.uuid4()}"


async def test_a_commit_wakes_the_sweep_at_once(client: Client, sweeping: OutboxSweep):
    workflow_id = new_id()
    account_id = await in_database(write_command, workflow_id)
    async with asyncio.timeout(60):
        pk = await in_database(lambda: _only(account_id).pk)
        command = await delivered(pk)
    assert command.attempts == 1
    assert await signals_of(client, workflow_id) == ["start_run"]


def _only(account_id: int) -> OutboxCommand:
    with platform():
        return OutboxCommand.objects.get(account_id=account_id)


async def test_one_that_is_woken_while_it_is_told_to_end_ends(client: Client, sweeping: OutboxSweep):
    (task,) = [task for task in asyncio.all_tasks() if task.get_name() == "sweep"]
    async with asyncio.timeout(60):
        while not sweeping._wake._waiters:  # noqa: ASYNC110 - nothing tells that it waits
            await asyncio.sleep(0.02)
    sweeping._wake.set()
    task.cancel()
    assert (await asyncio.wait({task}, timeout=20))[0], "it goes on"


async def test_what_was_committed_before_a_crash_is_delivered_after_it(client: Client):
    """Nobody swept when it was committed; the first sweep of a new process finds it."""
    workflow_id = new_id()
    await in_database(write_command, workflow_id)
    assert await OutboxSweep(client).sweep() == 1
    assert await signals_of(client, workflow_id) == ["start_run"]


async def test_what_was_rolled_back_is_not_delivered(client: Client):
    await in_database(write_command, new_id(), roll_back=True)
    assert await OutboxSweep(client).sweep() == 0


def test_one_decision_that_is_written_twice_is_one_command():
    account = AccountFactory()
    for run_id in (7, 7, 8):
        with tenant(account.pk):
            outbox.command(
                account_id=account.pk,
                workflow_type="IssueWorkflow",
                workflow_id="issue-1-42",
                task_queue="nobody-serves-this",
                signal="start_run",
                payload={"account_id": account.pk, "run_id": run_id},
                dedupe_key=f"run-{run_id}-start_run",
            )
    with platform():
        commands = OutboxCommand.objects.filter(account_id=account.pk).order_by("pk")
        assert [command.payload["run_id"] for command in commands] == [7, 8]


async def test_a_sweep_that_dies_after_delivery_delivers_again_into_the_same_workflow(client: Client):
    """The second signal carries the same run id, which the workflow drops (see test_issue_workflow)."""
    command = await in_database(OutboxCommandFactory, workflow_id=new_id(), task_queue="nobody-serves-this")
    sweep = OutboxSweep(client)
    assert await sweep.sweep() == 1
    await in_database(_make_due_again, command.pk)
    assert await sweep.sweep() == 1
    assert await signals_of(client, command.workflow_id) == ["start_run", "start_run"]
    states = await in_database(_states_of, command.workflow_id)
    assert [state.status for state in states] == ["running"]


def _make_due_again(pk: int) -> None:
    """What a crash between the answer of Temporal and the mark on the row leaves."""
    with platform():
        OutboxCommand.objects.filter(pk=pk).update(delivered_at=None, available_at=timezone.now())


def _states_of(workflow_id: str) -> list[WorkflowState]:
    with platform():
        return list(WorkflowState.objects.filter(workflow_id=workflow_id))


async def test_a_server_that_does_not_answer_postpones_the_row():
    command = await in_database(OutboxCommandFactory, workflow_id=new_id())
    nobody = await Client.connect("127.0.0.1:1", lazy=True)
    before = timezone.now()
    assert await OutboxSweep(nobody).sweep() == 1
    after: OutboxCommand = await in_database(row, command.pk)
    assert (after.attempts, after.delivered_at) == (1, None)
    assert after.available_at > before
    assert after.last_error != ""


async def test_each_failure_doubles_the_wait_up_to_five_minutes():
    command = await in_database(OutboxCommandFactory, workflow_id=new_id(), attempts=40)
    nobody = await Client.connect("127.0.0.1:1", lazy=True)
    await OutboxSweep(nobody).sweep()
    after: OutboxCommand = await in_database(row, command.pk)
    wait = after.available_at - timezone.now()
    assert timedelta(seconds=290) < wait <= timedelta(seconds=300)


async def test_two_sweeps_never_take_the_same_row():
    for _ in range(20):
        await in_database(OutboxCommandFactory, workflow_id=new_id())
    first, second = await asyncio.gather(asyncio.to_thread(claim_due), asyncio.to_thread(claim_due))
    assert len({command.id for command in [*first, *second]}) == len(first) + len(second) == 20
