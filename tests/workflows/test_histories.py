"""Histories of workflows that run somewhere: today's code must still follow each of them, and decide the same."""

import pytest
from temporalio.client import WorkflowHistory
from temporalio.worker import Replayer

from projects.contracts import INBOX_WORKFLOW
from tests.workflows.scenarios import HISTORIES, SCENARIOS, commands_of, history_path, play
from workflows.contracts import ISSUE_WORKFLOW, RUN_WORKFLOW
from workflows.evolution_contracts import EVOLUTION_WORKFLOW
from workflows.forge_contracts import POLL_WORKFLOW
from workflows.worker import DEPLOYMENT, WORKFLOWS


def stored(name: str) -> WorkflowHistory:
    return WorkflowHistory.from_json(name, history_path(name).read_text())


@pytest.mark.parametrize("name", [str(path.relative_to(HISTORIES))[:-5] for path in sorted(HISTORIES.rglob("*.json"))])
async def test_a_stored_history_replays(name: str):
    await Replayer(workflows=WORKFLOWS, build_id=DEPLOYMENT.version.build_id).replay_workflow(stored(name))


@pytest.mark.parametrize("name", SCENARIOS)
async def test_a_workflow_decides_what_it_decided_before(name: str):
    """Also what a replay does not compare: time-outs, retry policies, queues.

    Fails after an edit that running workflows would not survive, or would carry out with other limits. Guard it with
    `workflow.patched`, then add a scenario for the new way. What a replay forgives (a time-out) may change without a
    guard: its history moves to `former/`, where it is still replayed, and is recorded beside it as it is now.
    """
    assert commands_of(await play(name)) == commands_of(stored(name))


def test_every_workflow_has_a_history():
    started = [stored(name).events[0].workflow_execution_started_event_attributes for name in SCENARIOS]
    assert {each.workflow_type.name for each in started} == {
        ISSUE_WORKFLOW,
        RUN_WORKFLOW,
        INBOX_WORKFLOW,
        POLL_WORKFLOW,
        EVOLUTION_WORKFLOW,
    }
    assert len(WORKFLOWS) == 5
