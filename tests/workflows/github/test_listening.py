"""The workflows that listen to a forge: order, patience, schedules."""

import asyncio
from datetime import timedelta

import pytest
from temporalio.client import Client, ScheduleOverlapPolicy, WorkflowFailureError
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.exceptions import ApplicationError
from temporalio.service import RPCError
from temporalio.testing import WorkflowEnvironment

from paid.lib.temporal import connect
from paid.lib.tenancy import platform
from projects import contracts
from projects.contracts import DELIVERED_SIGNAL, INBOX_WORKFLOW, ProjectRef
from projects.models import Project
from tests.factories.accounts import GithubTokenFactory
from tests.factories.projects import ProjectFactory
from tests.workflows.listener import Listener
from workflows.connections import released_connections
from workflows.contracts import CONTROL_QUEUE
from workflows.forge_contracts import (
    POLL_WORKFLOW,
    InboxInput,
    InboxSummary,
    PollOutcome,
)
from workflows.outbox import START_INPUTS
from workflows.schedules import Schedules


async def deliver(client: Client, *numbers: int) -> InboxSummary:
    for number in numbers:
        handle = await client.start_workflow(
            INBOX_WORKFLOW,
            InboxInput(),
            id="webhooks-1",
            task_queue=CONTROL_QUEUE,
            start_signal=DELIVERED_SIGNAL,
            # As the outbox sends it: plain JSON.
            start_signal_args=[{"account_id": 1, "delivery_id": number}],
            id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
            result_type=InboxSummary,
        )
    summary: InboxSummary = await handle.result()
    return summary


def test_the_names_below_are_the_names_above():
    assert contracts.CONTROL_QUEUE == CONTROL_QUEUE
    assert START_INPUTS[INBOX_WORKFLOW]() == InboxInput()


async def test_deliveries_are_digested_in_their_order(skipping: WorkflowEnvironment):
    listener = Listener()
    delivering = asyncio.create_task(deliver(skipping.client, 3, 1, 2))
    async with listener.worker(skipping.client):
        await delivering
    assert listener.calls == ["digest 3", "digest 1", "digest 2"]


async def test_more_deliveries_than_one_history_holds_lose_none(skipping: WorkflowEnvironment):
    listener = Listener()
    delivering = asyncio.create_task(deliver(skipping.client, *range(1, 211)))
    async with listener.worker(skipping.client):
        await delivering
    assert listener.calls == [f"digest {number}" for number in range(1, 211)]


async def test_the_wait_that_the_forge_asked_for_is_kept(skipping: WorkflowEnvironment):
    limited = ApplicationError("limited", next_retry_delay=timedelta(minutes=42))
    listener = Listener(refusals={1: [limited]})
    async with listener.worker(skipping.client):
        await deliver(skipping.client, 1)
    assert listener.calls == ["digest 1", "digest 1"]
    assert timedelta(minutes=42) <= listener.times[1] - listener.times[0] < timedelta(minutes=43)


async def test_a_delivery_that_never_heals_is_given_up_and_the_next_one_comes(skipping: WorkflowEnvironment):
    listener = Listener(refusals={1: [ApplicationError("down") for _ in range(100)]})
    delivering = asyncio.create_task(deliver(skipping.client, 1, 2))
    async with listener.worker(skipping.client):
        await delivering
    assert listener.calls[-2:] == ["give up 1", "digest 2"]
    assert listener.times[-1] - listener.times[0] < timedelta(hours=2, minutes=5)


async def test_a_poll_is_one_activity(skipping: WorkflowEnvironment):
    listener = Listener()
    async with listener.worker(skipping.client):
        outcome = await skipping.client.execute_workflow(
            POLL_WORKFLOW, ProjectRef(1, 7), id="poll-7", task_queue=CONTROL_QUEUE, result_type=PollOutcome
        )
    assert (outcome, listener.calls) == (PollOutcome(started_runs=1), ["poll 7"])


def make_project() -> Project:
    with released_connections(), platform():
        project: Project = ProjectFactory(forge="github", poll_interval_seconds=300)
        project.github_token = GithubTokenFactory(account=project.account)
        project.save(update_fields=["github_token"])
    return project


def change(project: Project, **values: object) -> None:
    with released_connections(), platform():
        Project.objects.filter(pk=project.pk).update(**values)


@pytest.mark.django_db(transaction=True)
async def test_schedules_follow_the_projects(temporal_address: str, settings: object):
    settings.TEMPORAL_ADDRESS = temporal_address  # type: ignore[attr-defined]
    project = await asyncio.to_thread(make_project)
    client = await connect()
    schedules = Schedules(client)
    handle = client.get_schedule_handle(f"poll-{project.pk}")

    await schedules.keep()
    await Schedules(client).keep()
    made = (await handle.describe()).schedule
    assert made.spec.intervals[0].every == timedelta(minutes=5)
    assert made.policy.overlap == ScheduleOverlapPolicy.SKIP

    await asyncio.to_thread(change, project, poll_interval_seconds=1)
    await schedules.keep()
    assert (await handle.describe()).schedule.spec.intervals[0].every == timedelta(seconds=15)

    await asyncio.to_thread(change, project, is_active=False)
    await schedules.keep()
    with pytest.raises(RPCError, match="not found"):
        await handle.describe()


async def poll(client: Client) -> PollOutcome:
    outcome: PollOutcome = await client.execute_workflow(
        POLL_WORKFLOW, ProjectRef(1, 7), id="poll-7", task_queue=CONTROL_QUEUE, result_type=PollOutcome
    )
    return outcome


async def test_a_poll_waits_as_long_as_the_forge_asks(skipping: WorkflowEnvironment):
    limited = ApplicationError("limited", next_retry_delay=timedelta(minutes=61))
    listener = Listener(refusals={7: [limited]})
    async with listener.worker(skipping.client):
        assert await poll(skipping.client) == PollOutcome(started_runs=1)
    first, second = listener.times
    assert timedelta(minutes=61) <= second - first < timedelta(minutes=62)


async def test_a_poll_that_does_not_heal_leaves_the_next_turn_to_its_schedule(skipping: WorkflowEnvironment):
    listener = Listener(refusals={7: [ApplicationError("down") for _ in range(100)]})
    async with listener.worker(skipping.client):
        with pytest.raises(WorkflowFailureError):
            await poll(skipping.client)
    # 5, 10, 20 and 40 s between five attempts; a sixth would come at 155 s.
    assert len(listener.times) == 5
    assert timedelta(seconds=75) <= listener.times[-1] - listener.times[0] < timedelta(seconds=120)
