"""One run: workspace, agent, publication, and always an end."""

import asyncio
from datetime import timedelta
from typing import Any

from temporalio import workflow
from temporalio.common import RetryPolicy
from temporalio.exceptions import ActivityError, ApplicationError, TimeoutError, is_cancelled_exception

with workflow.unsafe.imports_passed_through():
    from workflows.contracts import (
        AGENTS_QUEUE,
        BEGIN_SESSION,
        CHOICE_ATTEMPTS,
        CHOOSE_MODEL,
        CLEAR_WORKSPACE,
        CONTROL_QUEUE,
        FINISH_RUN,
        PAUSE_RUN,
        PREPARE_WORKSPACE,
        PUBLISH_RUN,
        RESUME_SIGNAL,
        RUN_AGENT,
        RUN_WORKFLOW,
        STOP_SIGNAL,
        Pause,
        PreparedRun,
        Resumption,
        RunEnd,
        RunRef,
        StepOutcome,
        Verdict,
    )

QUICK_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=20), maximum_attempts=5
)
# Each restart of the agents' worker costs an attempt, and each attempt only attaches to the same agent.
AGENT_RETRIES = RetryPolicy(
    initial_interval=timedelta(milliseconds=500), maximum_interval=timedelta(seconds=5), maximum_attempts=50
)
# A change that was paid for waits for a forge that is away; what no waiting heals ends the step at once.
PUBLISH_RETRIES = RetryPolicy(initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=5))
PUBLISH_PATIENCE = timedelta(hours=24)
FINISH_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(minutes=1), maximum_attempts=2_000
)
# A run waits no longer for the answer of a model that could have chosen a better one.
CHOICE_RETRIES = RetryPolicy(
    initial_interval=timedelta(seconds=1), maximum_interval=timedelta(seconds=10), maximum_attempts=CHOICE_ATTEMPTS
)
CHOICE_TIMEOUT = timedelta(seconds=90)
CHOICE_PATIENCE = timedelta(minutes=5)
WORKSPACE_TIMEOUT = timedelta(minutes=15)
PUBLISH_TIMEOUT = timedelta(minutes=15)
AGENT_SLACK = timedelta(minutes=10)
HEARTBEAT_TIMEOUT = timedelta(seconds=10)
CLEAR_TIMEOUT = timedelta(minutes=1)
FINISH_TIMEOUT = timedelta(minutes=1)
# How long a run that is out of money waits for a person; its files stay on the host so long.
LONGEST_PAUSE = timedelta(days=7)


@workflow.defn(name=RUN_WORKFLOW)
class RunWorkflow:
    @workflow.init
    def __init__(self, run: RunRef) -> None:
        self._run = run
        self._is_stopping = False
        self._pauses = 0
        self._resumed: set[int] = set()
        self._activity: workflow.ActivityHandle[Any] | None = None

    @workflow.run
    async def run(self, run: RunRef) -> RunEnd:
        try:
            outcome = await self._work()
        except (asyncio.CancelledError, ActivityError) as error:
            outcome = self._outcome_of(error)
        end = RunEnd(run, outcome)
        ending = asyncio.create_task(self._end(end))
        try:
            await asyncio.shield(ending)
        except asyncio.CancelledError:
            await ending  # cancelling a run that is about to end must not leave it without one
        return end

    @workflow.signal(name=STOP_SIGNAL)
    def stop_run(self) -> None:
        """Ends an activity that no worker has taken yet; one that works has read the request on the run's row."""
        self._is_stopping = True
        if self._activity is not None:
            self._activity.cancel()

    @workflow.signal(name=RESUME_SIGNAL)
    def resume_run(self, resumption: Resumption) -> None:
        """May come before the pause has been told to this workflow, and more than once."""
        self._resumed.add(resumption.pause)

    async def _choose_model(self) -> None:
        """Whatever comes of it, the run goes on with the model that is on its row."""
        try:
            await self._step(
                CHOOSE_MODEL,
                type(None),
                start_to_close_timeout=CHOICE_TIMEOUT,
                schedule_to_close_timeout=CHOICE_PATIENCE,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=CHOICE_RETRIES,
            )
        except ActivityError as error:
            if self._is_stopping or is_cancelled_exception(error):
                raise
            workflow.logger.warning("Run %s: nobody answered which model it shall have", self._run.run_id)

    async def _work(self) -> StepOutcome:
        # No workflow.patched: whoever started without a question has none in its input, then as now.
        if self._run.asks_for_model:
            await self._choose_model()
        prepared: PreparedRun = await self._step(
            PREPARE_WORKSPACE,
            PreparedRun,
            start_to_close_timeout=WORKSPACE_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=QUICK_RETRIES,
        )
        if prepared.outcome.verdict != Verdict.DONE:
            return prepared.outcome
        outcome = await self._run_agent(prepared.agent_seconds)
        while outcome.verdict == Verdict.PAUSED:
            outcome = await self._wait_for_money(outcome)
            if outcome.verdict == Verdict.DONE:
                outcome = await self._run_agent(prepared.agent_seconds)
        if outcome.verdict != Verdict.DONE:
            return outcome
        published: StepOutcome = await self._step(
            PUBLISH_RUN,
            StepOutcome,
            start_to_close_timeout=PUBLISH_TIMEOUT,
            schedule_to_close_timeout=PUBLISH_PATIENCE,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=PUBLISH_RETRIES,
        )
        return published

    async def _run_agent(self, seconds: int) -> StepOutcome:
        outcome: StepOutcome = await self._step(
            RUN_AGENT,
            StepOutcome,
            start_to_close_timeout=timedelta(seconds=seconds) + AGENT_SLACK,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=AGENT_RETRIES,
        )
        return outcome

    async def _wait_for_money(self, reason: StepOutcome) -> StepOutcome:
        """DONE once a person let the run go on and the host is ready for the agent's next session."""
        self._pauses += 1
        number = self._pauses
        paused: StepOutcome = await workflow.execute_activity(
            PAUSE_RUN,
            Pause(self._run, number, reason),
            result_type=StepOutcome,
            task_queue=CONTROL_QUEUE,
            start_to_close_timeout=FINISH_TIMEOUT,
            retry_policy=FINISH_RETRIES,
        )
        if paused.verdict != Verdict.DONE:
            return paused
        try:
            await workflow.wait_condition(lambda: self._is_stopping or number in self._resumed, timeout=LONGEST_PAUSE)
        except asyncio.TimeoutError:  # noqa: UP041 - the bare name is Temporal's in this file
            words = f"{reason.error} Nobody did within {LONGEST_PAUSE.days} days, so the run ended. Retry it."
            return StepOutcome(Verdict.FAILED, reason.error_code, words)
        begun: StepOutcome = await self._step(
            BEGIN_SESSION,
            StepOutcome,
            start_to_close_timeout=CLEAR_TIMEOUT,
            heartbeat_timeout=HEARTBEAT_TIMEOUT,
            retry_policy=QUICK_RETRIES,
        )
        return begun

    async def _step(self, name: str, result_type: type[Any], **options: Any) -> Any:
        if self._is_stopping:
            raise asyncio.CancelledError
        self._activity = workflow.start_activity(
            name,
            self._run,
            result_type=result_type,
            task_queue=AGENTS_QUEUE,
            # The step says itself how it ended, so that its words are not lost.
            cancellation_type=workflow.ActivityCancellationType.WAIT_CANCELLATION_COMPLETED,
            **options,
        )
        try:
            return await self._activity
        finally:
            self._activity = None

    def _outcome_of(self, error: BaseException) -> StepOutcome:
        if self._is_stopping or is_cancelled_exception(error):
            return StepOutcome(Verdict.STOPPED, "stopped", "The run was stopped before it ended.")
        cause = error.__cause__
        if isinstance(cause, TimeoutError) and isinstance(cause.__cause__, ApplicationError):
            cause = cause.__cause__  # the patience ended in an attempt: what the one before it said is why
        if isinstance(cause, ApplicationError) and cause.type == "StepFailed":
            code, words = cause.details
            return StepOutcome(Verdict.FAILED, code, words)
        if isinstance(cause, TimeoutError):
            return StepOutcome(
                Verdict.FAILED,
                "step_timeout",
                "A step of the run did not answer in time. Check that the agents' worker runs "
                "(/healthz names what does not answer), then retry the run.",
            )
        return StepOutcome(
            Verdict.FAILED,
            "internal",
            "Something in Paid itself failed; the worker's log has the details. Retry the run; if it fails again, "
            "report it.",
        )

    async def _end(self, end: RunEnd) -> None:
        try:
            await workflow.execute_activity(
                CLEAR_WORKSPACE,
                self._run,
                task_queue=AGENTS_QUEUE,
                start_to_close_timeout=CLEAR_TIMEOUT,
                schedule_to_close_timeout=2 * CLEAR_TIMEOUT,
                heartbeat_timeout=HEARTBEAT_TIMEOUT,
                retry_policy=QUICK_RETRIES,
            )
        except ActivityError:
            # The host may be gone for good: the run ends all the same, and the host's next worker clears up.
            workflow.logger.warning("Run %s: its host did not clear the workspace", self._run.run_id)
        await workflow.execute_activity(
            FINISH_RUN,
            end,
            task_queue=CONTROL_QUEUE,
            start_to_close_timeout=FINISH_TIMEOUT,
            retry_policy=FINISH_RETRIES,
        )
