"""One cycle of a prompt's evolution: look, ask a model, wait for a person, try, follow the experiment to its end."""

from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError

with workflow.unsafe.imports_passed_through():
    from workflows.contracts import AGENTS_QUEUE
    from workflows.evolution_contracts import (
        CONSULT_MODEL,
        DECIDED_SIGNAL,
        EVOLUTION_WORKFLOW,
        FOLLOW_EXPERIMENT,
        GIVE_UP_EVOLUTION,
        OPEN_EVOLUTION,
        PROPOSE,
        TRY_PROPOSALS,
        EvolutionInput,
        EvolutionRef,
        EvolutionSummary,
        GivenUp,
        OpenedEvolution,
        StepEnd,
    )

STEP_TIMEOUT = timedelta(minutes=2)
STEP_RETRIES = RetryPolicy(initial_interval=timedelta(seconds=2), maximum_interval=timedelta(minutes=2))
STEP_PATIENCE = timedelta(days=1)
CONSULT_TIMEOUT = timedelta(minutes=20)
CONSULT_HEARTBEAT = timedelta(seconds=30)
# An attempt may cost money, all of it within the cap.
CONSULT_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=30), maximum_interval=timedelta(minutes=10), maximum_attempts=4
)
# A person has so long to look at proposals.
DECISION_PATIENCE = timedelta(days=14)
LOOK_INTERVAL = timedelta(hours=1)
EXPIRED = "Nobody decided about the proposals within 14 days."
BROKEN = "The step did not work, also after it was repeated: {}"


@workflow.defn(name=EVOLUTION_WORKFLOW)
class EvolvePromptWorkflow:
    def __init__(self) -> None:
        self._is_decided = False

    @workflow.signal(name=DECIDED_SIGNAL)
    def decided(self, evolution: EvolutionRef) -> None:
        """A person has tried or rejected the proposals: their rows say which."""
        self._is_decided = True

    @workflow.run
    async def run(self, wanted: EvolutionInput) -> EvolutionSummary:
        if not wanted.prompt_id:
            return EvolutionSummary(reason="There was nothing left to decide.")
        if wanted.evolution_id:
            return await self._follow(wanted, EvolutionRef(wanted.account_id, wanted.evolution_id))
        opened: OpenedEvolution = await self._step(OPEN_EVOLUTION, wanted, OpenedEvolution)
        if not opened.evolution_id:
            return EvolutionSummary(reason=opened.reason)
        evolution = EvolutionRef(wanted.account_id, opened.evolution_id)
        if opened.is_tested:
            return await self._follow(wanted, evolution)
        try:
            is_tried = await self._propose(evolution, opened.needs_approval)
        except ActivityError as error:
            await self._give_up(evolution, BROKEN.format(_said(error)))
            return EvolutionSummary(evolution.evolution_id, "broken")
        return await self._follow(wanted, evolution) if is_tried else EvolutionSummary(evolution.evolution_id)

    async def _propose(self, evolution: EvolutionRef, needs_approval: bool) -> bool:
        """Gives whether the cycle may have an experiment now."""
        asked: StepEnd = await workflow.execute_activity(
            CONSULT_MODEL,
            evolution,
            result_type=StepEnd,
            # The gateway's socket is on the agents' host.
            task_queue=AGENTS_QUEUE,
            start_to_close_timeout=CONSULT_TIMEOUT,
            heartbeat_timeout=CONSULT_HEARTBEAT,
            schedule_to_close_timeout=STEP_PATIENCE,
            retry_policy=CONSULT_RETRIES,
        )
        if not asked.goes_on:
            return False
        proposed: StepEnd = await self._step(PROPOSE, evolution, StepEnd)
        if not proposed.goes_on:
            return False
        if not needs_approval:
            tried: StepEnd = await self._step(TRY_PROPOSALS, evolution, StepEnd)
            return tried.goes_on
        try:
            await workflow.wait_condition(lambda: self._is_decided, timeout=DECISION_PATIENCE)
        except TimeoutError:
            await self._give_up(evolution, EXPIRED, has_expired=True)
        # What a person did at the last moment is on the row, also when the timer came first.
        return True

    async def _follow(self, wanted: EvolutionInput, evolution: EvolutionRef) -> EvolutionSummary:
        """Until the experiment has ended, or the cap is reached."""
        while True:
            looked: StepEnd = await self._step(FOLLOW_EXPERIMENT, evolution, StepEnd)
            if not looked.goes_on:
                return EvolutionSummary(evolution.evolution_id)
            if workflow.info().is_continue_as_new_suggested():
                workflow.continue_as_new(EvolutionInput(wanted.account_id, wanted.prompt_id, evolution.evolution_id))
            await workflow.sleep(LOOK_INTERVAL)

    async def _give_up(self, evolution: EvolutionRef, reason: str, *, has_expired: bool = False) -> None:
        await self._step(GIVE_UP_EVOLUTION, GivenUp(evolution, has_expired, reason), StepEnd)

    async def _step(self, name: str, argument: object, result_type: type[Any]) -> Any:
        return await workflow.execute_activity(
            name,
            argument,
            result_type=result_type,
            start_to_close_timeout=STEP_TIMEOUT,
            schedule_to_close_timeout=STEP_PATIENCE,
            retry_policy=STEP_RETRIES,
        )


def _said(error: ActivityError) -> str:
    return error.cause.message if isinstance(error.cause, ApplicationError) else "it took too long."
