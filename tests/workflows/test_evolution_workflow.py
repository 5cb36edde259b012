"""The evolution's workflow alone: which steps it takes, when, and how long it waits."""

from datetime import timedelta
from typing import Any

import pytest
from temporalio.testing import WorkflowEnvironment

from tests.workflows.evolver import Evolver
from tests.workflows.scenarios import SCENARIOS
from workflows.evolution_contracts import EvolutionRef, GivenUp, OpenedEvolution

TO_PROPOSALS = ["open 5", "consult 9", "propose 9"]


async def taken(environment: WorkflowEnvironment, evolver: Evolver, scenario: str = "evolution_not_needed") -> Any:
    async with evolver.workers(environment.client):
        handle = await SCENARIOS[scenario].start(environment.client, evolver)
        return await handle.result()


async def test_a_prompt_that_is_not_weak_costs_nothing(skipping: WorkflowEnvironment):
    evolver = Evolver(opened=OpenedEvolution(reason="Version 1 is not weak."))
    assert await taken(skipping, evolver) == {"evolution_id": 0, "reason": "Version 1 is not weak."}
    assert evolver.calls == ["open 5"]


async def test_the_experiment_is_looked_at_every_hour_once_a_person_has_decided(skipping: WorkflowEnvironment):
    evolver = Evolver(looks=2)
    await taken(skipping, evolver, "evolution_approved")
    assert evolver.calls == [*TO_PROPOSALS, "follow 9", "follow 9", "follow 9"]
    waits = [later - earlier for earlier, later in zip(evolver.looked_at, evolver.looked_at[1:], strict=False)]
    assert all(timedelta(hours=1) <= wait < timedelta(hours=1, minutes=5) for wait in waits)


async def test_nobody_is_waited_for_where_no_person_is_asked(skipping: WorkflowEnvironment):
    evolver = Evolver(opened=OpenedEvolution(9, needs_approval=False), looks=0)
    await taken(skipping, evolver)
    assert evolver.calls == [*TO_PROPOSALS, "try 9", "follow 9"]


async def test_proposals_wait_fourteen_days_for_a_person(skipping: WorkflowEnvironment):
    evolver = Evolver(looks=0)
    await taken(skipping, evolver)
    assert evolver.given_up == [GivenUp(EvolutionRef(1, 9), True, "Nobody decided about the proposals within 14 days.")]
    assert evolver.given_up_at is not None
    assert timedelta(days=14) <= evolver.given_up_at - evolver.asked_at[0] < timedelta(days=14, hours=1)
    # A decision at the last moment counts: the row says so.
    assert evolver.calls[-1] == "follow 9"


async def test_a_model_that_cannot_be_asked_is_tried_four_times(skipping: WorkflowEnvironment):
    evolver = Evolver(is_broken=True)
    await taken(skipping, evolver)
    assert evolver.calls == ["open 5", *["consult 9"] * 4, "give up 9"]
    (given_up,) = evolver.given_up
    assert given_up.reason.endswith("The gateway does not answer: ConnectError.")


@pytest.mark.parametrize("evolver", [Evolver(is_answered=False), Evolver(is_proposed=False)])
async def test_it_ends_where_nothing_may_be_tried(skipping: WorkflowEnvironment, evolver: Evolver):
    await taken(skipping, evolver)
    assert "follow 9" not in evolver.calls


async def test_a_workflow_after_a_lost_one_goes_on_with_the_experiment(skipping: WorkflowEnvironment):
    evolver = Evolver(opened=OpenedEvolution(9, is_tested=True), looks=0)
    await taken(skipping, evolver)
    assert evolver.calls == ["open 5", "follow 9"]


async def test_a_decision_that_finds_no_workflow_does_nothing(skipping: WorkflowEnvironment):
    evolver = Evolver()
    await taken(skipping, evolver, "evolution_decided_too_late")
    assert evolver.calls == []
