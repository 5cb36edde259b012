"""Ways through our workflows whose histories are kept in `histories/`.

`python -m tests.workflows.scenarios` records what is missing there. A history is never recorded anew because a test
fails: it stands for workflows that run somewhere right now. Guard the change with `workflow.patched`, add a scenario.
"""

import asyncio
import json
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from google.protobuf.json_format import MessageToDict
from temporalio.client import Client, WorkflowFailureError, WorkflowHandle, WorkflowHistory
from temporalio.exceptions import ApplicationError
from temporalio.testing import WorkflowEnvironment

from projects.contracts import DELIVERED_SIGNAL, INBOX_WORKFLOW, DeliveryRef, ProjectRef
from tests.workflows.evolver import Evolver
from tests.workflows.listener import Listener
from tests.workflows.playing import path_of_test_server, workers
from tests.workflows.steps import Steps
from workflows.contracts import (
    CONTROL_QUEUE,
    ISSUE_WORKFLOW,
    RESUME_SIGNAL,
    RUN_WORKFLOW,
    START_SIGNAL,
    IssueInput,
    PreparedRun,
    Resumption,
    RunRef,
    StepOutcome,
    Verdict,
)
from workflows.evolution_contracts import (
    DECIDED_SIGNAL,
    EVOLUTION_WORKFLOW,
    EvolutionInput,
    EvolutionRef,
    OpenedEvolution,
)
from workflows.forge_contracts import POLL_WORKFLOW, InboxInput

TIMER_SECONDS = 120
HISTORIES = Path(__file__).parent / "histories"
RUN = RunRef(account_id=1, run_id=7)
ASKING_RUN = RunRef(account_id=1, run_id=7, asks_for_model=True)
OUT_OF_MONEY = StepOutcome(Verdict.PAUSED, "budget_exhausted", "The money is used up. Grant more.")
FAILED = StepOutcome(Verdict.FAILED, "git_failed", "No such branch.")
# What a workflow decides, as the server notes it down.
COMMANDS = (
    "activityTaskScheduledEventAttributes",
    "startChildWorkflowExecutionInitiatedEventAttributes",
    "signalExternalWorkflowExecutionInitiatedEventAttributes",
    "timerStartedEventAttributes",
    "activityTaskCancelRequestedEventAttributes",
    "workflowExecutionContinuedAsNewEventAttributes",
    "workflowExecutionCompletedEventAttributes",
    "workflowExecutionFailedEventAttributes",
    "workflowExecutionCanceledEventAttributes",
)
# Numbers that the server gives, and payloads: a changed dataclass shows in the replay.
NOT_DECIDED = {"workflowTaskCompletedEventId", "input", "result", "scheduledEventId", "header", "firstExecutionRunId"}
OF_THIS_MACHINE = {"identity", "stackTrace"}

Handle = WorkflowHandle[Any, Any]


@dataclass(frozen=True)
class Scenario:
    """`make` gives the played activities, `serve` the workers that offer them."""

    make: Callable[[], Any]
    start: Callable[[Client, Any], Awaitable[Handle]]
    serve: Callable[[Client, Any], AbstractAsyncContextManager[Any]] = workers


async def start_run(client: Client, steps: Steps) -> Handle:
    return await client.start_workflow(RUN_WORKFLOW, RUN, id="run-7", task_queue=CONTROL_QUEUE)


async def start_asking_run(client: Client, steps: Steps) -> Handle:
    return await client.start_workflow(RUN_WORKFLOW, ASKING_RUN, id="run-7", task_queue=CONTROL_QUEUE)


async def start_and_cancel(client: Client, steps: Steps) -> Handle:
    handle = await start_run(client, steps)
    await steps.began.wait()
    await handle.cancel()
    return handle


async def start_and_resume(client: Client, steps: Steps) -> Handle:
    """Two pauses. The second one's resumption comes with the first one's, before there is anything to resume."""
    handle = await start_run(client, steps)
    for pause in (1, 1, 2):
        await handle.signal(RESUME_SIGNAL, Resumption(1, 7, pause))
    assert steps.gate is not None
    steps.gate.set()
    return handle


async def resume_by_issue(client: Client, steps: Steps) -> Handle:
    """An issue's workflow that was lost is started anew by the signal, and passes it on to nobody."""
    return await client.start_workflow(
        ISSUE_WORKFLOW,
        IssueInput(),
        id="issue-1-42",
        task_queue=CONTROL_QUEUE,
        start_signal=RESUME_SIGNAL,
        start_signal_args=[Resumption(1, 7, 1)],
    )


async def start_issue(client: Client, steps: Steps) -> Handle:
    return await client.start_workflow(
        ISSUE_WORKFLOW,
        IssueInput(pending=(RUN, RunRef(1, 8)), seen=(7, 8)),
        id="issue-1-42",
        task_queue=CONTROL_QUEUE,
        start_signal=START_SIGNAL,
        start_signal_args=[RUN],
    )


async def start_inbox(client: Client, listener: Listener) -> Handle:
    return await client.start_workflow(
        INBOX_WORKFLOW,
        InboxInput(pending=(DeliveryRef(1, 1),)),
        id="webhooks-1",
        task_queue=CONTROL_QUEUE,
        start_signal=DELIVERED_SIGNAL,
        start_signal_args=[DeliveryRef(1, 2)],
    )


async def start_poll(client: Client, listener: Listener) -> Handle:
    return await client.start_workflow(POLL_WORKFLOW, ProjectRef(1, 7), id="poll-7", task_queue=CONTROL_QUEUE)


async def start_evolution(client: Client, evolver: Evolver) -> Handle:
    return await client.start_workflow(
        EVOLUTION_WORKFLOW, EvolutionInput(1, 5), id="evolve-5", task_queue=CONTROL_QUEUE
    )


async def _has_timer(handle: Handle) -> bool:
    history = await handle.fetch_history()
    return any(event.HasField("timer_started_event_attributes") for event in history.events)


async def start_and_decide(client: Client, evolver: Evolver) -> Handle:
    handle = await start_evolution(client, evolver)
    await evolver.proposed.wait()
    # A decision that comes before the workflow waits for one would leave out its timer.
    # Asked again and again: the test server's answer to who waits for an event comes 20 seconds after it.
    async with asyncio.timeout(TIMER_SECONDS):
        while not await _has_timer(handle):  # noqa: ASYNC110 - no event of this process tells
            await asyncio.sleep(0.01)
    await handle.signal(DECIDED_SIGNAL, EvolutionRef(1, 9))
    return handle


async def go_on_with_evolution(client: Client, evolver: Evolver) -> Handle:
    """As it continues as new, while the experiment runs."""
    return await client.start_workflow(
        EVOLUTION_WORKFLOW, EvolutionInput(1, 5, 9), id="evolve-5", task_queue=CONTROL_QUEUE
    )


async def decide_too_late(client: Client, evolver: Evolver) -> Handle:
    """The decision finds no workflow any more, and starts one that has nothing to do."""
    return await client.start_workflow(
        EVOLUTION_WORKFLOW,
        EvolutionInput(),
        id="evolve-5",
        task_queue=CONTROL_QUEUE,
        start_signal=DECIDED_SIGNAL,
        start_signal_args=[EvolutionRef(1, 9)],
    )


def evolving(client: Client, evolver: Evolver) -> AbstractAsyncContextManager[Any]:
    return evolver.workers(client)


def listening(client: Client, listener: Listener) -> AbstractAsyncContextManager[Any]:
    return listener.worker(client)


def refusing(number: int) -> Listener:
    return Listener(refusals={number: [ApplicationError("refused", non_retryable=True)]})


SCENARIOS: dict[str, Scenario] = {
    "run_completed": Scenario(Steps, start_run),
    "run_with_a_choice": Scenario(Steps, start_asking_run),
    "run_with_a_choice_that_broke": Scenario(lambda: Steps(breaks=frozenset({"choose_model"})), start_asking_run),
    "run_not_prepared": Scenario(lambda: Steps(prepared=PreparedRun(FAILED)), start_run),
    "run_agent_failed": Scenario(lambda: Steps(agent=FAILED), start_run),
    "run_not_published": Scenario(lambda: Steps(published=FAILED), start_run),
    "run_broken": Scenario(lambda: Steps(breaks=frozenset({"publish_run"})), start_run),
    "run_cancelled": Scenario(lambda: Steps(hangs=frozenset({"run_agent"})), start_and_cancel),
    "run_paused_and_resumed": Scenario(
        lambda: Steps(earlier_agents=[OUT_OF_MONEY, OUT_OF_MONEY], gate=asyncio.Event()), start_and_resume
    ),
    "run_paused_too_long": Scenario(lambda: Steps(agent=OUT_OF_MONEY), start_run),
    "issue_resumes_a_run_that_ended": Scenario(Steps, resume_by_issue),
    "issue_with_two_runs": Scenario(Steps, start_issue),
    "inbox_with_two_deliveries": Scenario(Listener, start_inbox, listening),
    "inbox_that_gives_one_up": Scenario(lambda: refusing(1), start_inbox, listening),
    "poll_completed": Scenario(Listener, start_poll, listening),
    "poll_failed": Scenario(lambda: refusing(7), start_poll, listening),
    "evolution_approved": Scenario(Evolver, start_and_decide, evolving),
    "evolution_not_needed": Scenario(
        lambda: Evolver(opened=OpenedEvolution(reason="Not weak.")), start_evolution, evolving
    ),
    "evolution_expired": Scenario(lambda: Evolver(looks=0), start_evolution, evolving),
    "evolution_without_gate": Scenario(
        lambda: Evolver(opened=OpenedEvolution(9, needs_approval=False)), start_evolution, evolving
    ),
    "evolution_not_answered": Scenario(lambda: Evolver(is_answered=False), start_evolution, evolving),
    "evolution_without_proposals": Scenario(lambda: Evolver(is_proposed=False), start_evolution, evolving),
    "evolution_broken": Scenario(lambda: Evolver(is_broken=True), start_evolution, evolving),
    "evolution_taken_over": Scenario(
        lambda: Evolver(opened=OpenedEvolution(9, is_tested=True)), start_evolution, evolving
    ),
    "evolution_goes_on": Scenario(Evolver, go_on_with_evolution, evolving),
    "evolution_decided_too_late": Scenario(Evolver, decide_too_late, evolving),
}


def history_path(name: str) -> Path:
    return HISTORIES / f"{name}.json"


async def play(name: str) -> WorkflowHistory:
    """Take the way on a server of its own and return the history that came of it."""
    scenario = SCENARIOS[name]
    played = scenario.make()
    async with await WorkflowEnvironment.start_time_skipping(
        test_server_existing_path=path_of_test_server()
    ) as environment:
        async with scenario.serve(environment.client, played):
            handle = await scenario.start(environment.client, played)
            with suppress(WorkflowFailureError):  # how it ended is in the history
                await handle.result()
        return await handle.fetch_history()


def commands_of(history: WorkflowHistory) -> list[dict[str, Any]]:
    """What the workflow decided, in order, without what the server added."""
    decided: list[dict[str, Any]] = []
    for event in history.events:
        for attributes, values in MessageToDict(event).items():
            if attributes in COMMANDS:
                kept = {key: value for key, value in values.items() if key not in NOT_DECIDED}
                decided.append({attributes.removesuffix("EventAttributes"): without_this_machine(kept)})
    return decided


def without_this_machine(value: Any) -> Any:
    """A history says which host and which path it came from; neither is replayed."""
    if isinstance(value, dict):
        return {key: without_this_machine(item) for key, item in value.items() if key not in OF_THIS_MACHINE}
    return [without_this_machine(item) for item in value] if isinstance(value, list) else value


async def record_missing() -> None:
    HISTORIES.mkdir(exist_ok=True)
    for name in SCENARIOS:
        if not history_path(name).exists():
            history = await play(name)
            text = json.dumps(without_this_machine(json.loads(history.to_json())), indent=1)
            history_path(name).write_text(f"{text}\n")
            print(f"recorded {name}")  # noqa: T201 - a command's answer


if __name__ == "__main__":
    asyncio.run(record_missing())
