import asyncio
from datetime import timedelta
from typing import Any

import pytest
from temporalio.api.enums.v1 import EventType
from temporalio.client import Client, WorkflowHandle
from temporalio.testing import WorkflowEnvironment

from tests.workflows.playing import workers
from tests.workflows.steps import Steps
from workflows import run_workflow
from workflows.contracts import (
    AGENTS_QUEUE,
    CONTROL_QUEUE,
    RESUME_SIGNAL,
    RUN_WORKFLOW,
    STOP_SIGNAL,
    PreparedRun,
    Resumption,
    RunEnd,
    RunRef,
    StepOutcome,
    Verdict,
)

RUN = RunRef(account_id=1, run_id=7)
ASKING_RUN = RunRef(account_id=1, run_id=7, asks_for_model=True)
# The test server skips no time while a step is under way: limits of a step are shortened instead.
SHORT = timedelta(seconds=0.5)
WHOLE_WAY = ["prepare_workspace 7", "run_agent 7", "publish_run 7", "clear_workspace 7", "finish_run 7"]


async def run_to_end(client: Client, run: RunRef = RUN) -> RunEnd:
    end: RunEnd = await client.execute_workflow(
        RUN_WORKFLOW, run, id="run-7", task_queue=CONTROL_QUEUE, result_type=RunEnd
    )
    return end


async def happens(handle: WorkflowHandle[Any, Any], wanted: "EventType.ValueType") -> None:
    # The time-skipping server does not wait for new events: ask until it has happened.
    async with asyncio.timeout(120):
        while wanted not in [  # noqa: ASYNC110 - no event of this process tells
            event.event_type async for event in handle.fetch_history_events()
        ]:
            await asyncio.sleep(0.02)


async def test_it_takes_every_step_in_order(skipping: WorkflowEnvironment):
    steps = Steps()
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert end == RunEnd(RUN, StepOutcome(Verdict.DONE))
    assert steps.calls == WHOLE_WAY
    assert steps.ends == [end]


@pytest.mark.parametrize(
    ("steps", "calls"),
    [
        (
            Steps(prepared=PreparedRun(StepOutcome(Verdict.FAILED, "git_failed", "No such branch."))),
            ["prepare_workspace 7", "clear_workspace 7", "finish_run 7"],
        ),
        (
            Steps(agent=StepOutcome(Verdict.FAILED, "git_failed", "No such branch.")),
            ["prepare_workspace 7", "run_agent 7", "clear_workspace 7", "finish_run 7"],
        ),
        (Steps(published=StepOutcome(Verdict.FAILED, "git_failed", "No such branch.")), WHOLE_WAY),
    ],
    ids=["prepare", "agent", "publish"],
)
async def test_a_step_that_fails_ends_the_run_with_its_words(
    skipping: WorkflowEnvironment, steps: Steps, calls: list[str]
):
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert end.outcome == StepOutcome(Verdict.FAILED, "git_failed", "No such branch.")
    assert steps.calls == calls


async def test_an_error_that_nobody_expected_still_ends_the_run(skipping: WorkflowEnvironment):
    steps = Steps(breaks=frozenset({"publish_run"}))
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert (end.outcome.verdict, end.outcome.error_code) == (Verdict.FAILED, "internal")
    assert steps.calls == WHOLE_WAY


async def test_a_workspace_that_cannot_be_cleared_does_not_keep_the_run_open(skipping: WorkflowEnvironment):
    steps = Steps(breaks=frozenset({"clear_workspace"}))
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert end.outcome == StepOutcome(Verdict.DONE)
    assert steps.ends == [end]


async def test_a_stop_ends_a_step_that_no_worker_has_taken(skipping: WorkflowEnvironment):
    steps = Steps()
    async with workers(skipping.client, steps, queues=(CONTROL_QUEUE,)):
        handle = await skipping.client.start_workflow(
            RUN_WORKFLOW, RUN, id="run-7", task_queue=CONTROL_QUEUE, result_type=RunEnd
        )
        await happens(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
        await handle.signal(STOP_SIGNAL)
        await happens(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_CANCELED)
        async with workers(skipping.client, steps, queues=(AGENTS_QUEUE,)):
            end = await handle.result()
    assert end.outcome == StepOutcome(Verdict.STOPPED, "stopped", "The run was stopped before it ended.")
    assert steps.calls == ["clear_workspace 7", "finish_run 7"]


@pytest.mark.parametrize(
    ("steps", "asked"),
    [
        (Steps(), 1),
        (Steps(failures={"choose_model": 2}), 3),
        (Steps(failures={"choose_model": 9}), 3),
        (Steps(breaks=frozenset({"choose_model"})), 1),
    ],
    ids=["answered", "answered at last", "away", "broken"],
)
async def test_a_run_that_asks_for_its_model_goes_on_whatever_comes_of_it(
    skipping: WorkflowEnvironment, steps: Steps, asked: int
):
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client, ASKING_RUN)
    assert end.outcome == StepOutcome(Verdict.DONE)
    assert steps.calls == ["choose_model 7"] * asked + WHOLE_WAY


async def test_a_stop_ends_a_question_about_the_model_and_the_run(skipping: WorkflowEnvironment):
    steps = Steps(hangs=frozenset({"choose_model"}))
    async with workers(skipping.client, steps):
        handle = await skipping.client.start_workflow(
            RUN_WORKFLOW, ASKING_RUN, id="run-7", task_queue=CONTROL_QUEUE, result_type=RunEnd
        )
        await steps.began.wait()
        await handle.signal(STOP_SIGNAL)
        end = await handle.result()
    assert (end.outcome.verdict, end.outcome.error_code) == (Verdict.STOPPED, "stopped")
    assert steps.calls == ["choose_model 7", "clear_workspace 7", "finish_run 7"]


OUT_OF_MONEY = StepOutcome(Verdict.PAUSED, "budget_exhausted", "The money is used up. Grant more.")
TO_THE_PAUSE = ["prepare_workspace 7", "run_agent 7", "pause_run 7 1 budget_exhausted"]
THE_END = ["clear_workspace 7", "finish_run 7"]


async def started(client: Client) -> WorkflowHandle[Any, RunEnd]:
    return await client.start_workflow(RUN_WORKFLOW, RUN, id="run-7", task_queue=CONTROL_QUEUE, result_type=RunEnd)


async def test_a_run_out_of_money_waits_and_goes_on_with_a_new_session(skipping: WorkflowEnvironment):
    steps = Steps(earlier_agents=[OUT_OF_MONEY])
    async with workers(skipping.client, steps):
        handle = await started(skipping.client)
        await happens(handle, EventType.EVENT_TYPE_TIMER_STARTED)
        assert steps.calls == TO_THE_PAUSE
        for pause in (2, 1, 1):
            await handle.signal(RESUME_SIGNAL, Resumption(1, 7, pause))
        end = await handle.result()
    assert end.outcome == StepOutcome(Verdict.DONE)
    assert steps.calls == [*TO_THE_PAUSE, "begin_session 7", "run_agent 7", "publish_run 7", *THE_END]


async def test_a_resumption_that_is_told_twice_resumes_one_pause(skipping: WorkflowEnvironment):
    steps = Steps(earlier_agents=[OUT_OF_MONEY, OUT_OF_MONEY])
    async with workers(skipping.client, steps):
        handle = await started(skipping.client)
        for _ in range(2):
            await handle.signal(RESUME_SIGNAL, Resumption(1, 7, 1))
        end = await handle.result()
    assert (end.outcome.verdict, end.outcome.error_code) == (Verdict.FAILED, "budget_exhausted")
    assert steps.calls == [
        *TO_THE_PAUSE, "begin_session 7", "run_agent 7", "pause_run 7 2 budget_exhausted", *THE_END,
    ]  # fmt: skip


async def test_a_pause_that_nobody_ends_ends_the_run_after_seven_days_with_words(skipping: WorkflowEnvironment):
    steps = Steps(agent=OUT_OF_MONEY)
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert end.outcome == StepOutcome(
        Verdict.FAILED,
        "budget_exhausted",
        "The money is used up. Grant more. Nobody did within 7 days, so the run ended. Retry it.",
    )
    waited = steps.began_at["clear_workspace"] - steps.began_at["run_agent"]
    assert timedelta(days=7) <= waited < timedelta(days=7, minutes=1)
    assert steps.calls == [*TO_THE_PAUSE, *THE_END]


async def test_a_stop_ends_a_pause(skipping: WorkflowEnvironment):
    steps = Steps(agent=OUT_OF_MONEY)
    async with workers(skipping.client, steps):
        handle = await started(skipping.client)
        await happens(handle, EventType.EVENT_TYPE_TIMER_STARTED)
        await handle.signal(STOP_SIGNAL)
        end = await handle.result()
    assert (end.outcome.verdict, end.outcome.error_code) == (Verdict.STOPPED, "stopped")
    assert steps.calls == [*TO_THE_PAUSE, *THE_END]


async def test_cancelling_the_workflow_ends_the_run_as_stopped(skipping: WorkflowEnvironment):
    steps = Steps(hangs=frozenset({"run_agent"}))
    async with workers(skipping.client, steps):
        handle = await skipping.client.start_workflow(
            RUN_WORKFLOW, RUN, id="run-7", task_queue=CONTROL_QUEUE, result_type=RunEnd
        )
        await steps.began.wait()
        await handle.cancel()
        end = await handle.result()
    assert (end.outcome.verdict, end.outcome.error_code) == (Verdict.STOPPED, "stopped")
    assert steps.calls == ["prepare_workspace 7", "run_agent 7", "clear_workspace 7", "finish_run 7"]


async def test_a_change_outlives_an_outage_of_an_hour(skipping: WorkflowEnvironment):
    steps = Steps(away=timedelta(hours=1))
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert end.outcome == StepOutcome(Verdict.DONE)
    assert timedelta(hours=1) <= steps.published_at[-1] - steps.published_at[0] < timedelta(hours=1, minutes=6)
    # 1, 2, 4 … 256 s, then every five minutes.
    assert len(steps.published_at) == 21
    assert steps.calls.count("run_agent 7") == 1


async def test_a_forge_that_asks_for_patience_is_left_alone_meanwhile(skipping: WorkflowEnvironment):
    steps = Steps(away=timedelta(minutes=61), wait=timedelta(minutes=62))
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert end.outcome == StepOutcome(Verdict.DONE)
    first, second = steps.published_at
    assert timedelta(minutes=62) <= second - first < timedelta(minutes=63)


async def test_after_a_day_the_run_fails_with_the_last_words_of_the_forge(skipping: WorkflowEnvironment):
    steps = Steps(away=timedelta(days=30))
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert end.outcome == StepOutcome(Verdict.FAILED, "forge_unavailable", "GitHub is away.")
    assert timedelta(hours=23) < steps.published_at[-1] - steps.published_at[0] < timedelta(hours=24)
    assert steps.calls[-2:] == ["clear_workspace 7", "finish_run 7"]


@pytest.mark.parametrize(
    ("step", "attempts"), [("prepare_workspace", 5), ("run_agent", 50)], ids=["prepare_workspace", "run_agent"]
)
async def test_a_step_is_tried_so_often_and_then_ends_the_run(skipping: WorkflowEnvironment, step: str, attempts: int):
    steps = Steps(failures={step: attempts - 1})
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert (end.outcome, steps.calls.count(f"{step} 7")) == (StepOutcome(Verdict.DONE), attempts)

    steps = Steps(failures={step: attempts})
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert end.outcome == StepOutcome(Verdict.FAILED, "away", "The step cannot work now.")
    assert steps.calls.count(f"{step} 7") == attempts


async def test_the_end_of_a_run_waits_for_a_database_for_an_hour_and_more(skipping: WorkflowEnvironment):
    steps = Steps(failures={"finish_run": 80})
    async with workers(skipping.client, steps):
        end = await run_to_end(skipping.client)
    assert steps.ends == [end]
    # 1, 2, 4 … 32 s, then every minute.
    waited = steps.began_at["finish_run"] - steps.began_at["clear_workspace"]
    assert timedelta(minutes=75) <= waited < timedelta(minutes=77)


@pytest.mark.parametrize("limit", ["HEARTBEAT_TIMEOUT", "PUBLISH_TIMEOUT"])
async def test_an_attempt_that_falls_silent_or_takes_too_long_is_followed_by_another(
    skipping: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch, limit: str
):
    monkeypatch.setattr(run_workflow, limit, SHORT)
    steps = Steps(silent={"publish_run": 1} if limit == "HEARTBEAT_TIMEOUT" else {}, slow={"publish_run": 1})
    async with workers(skipping.client, steps, is_sandboxed=False):
        end = await run_to_end(skipping.client)
    assert end.outcome == StepOutcome(Verdict.DONE)
    # More than two where half a second is too short for the second one as well.
    assert steps.calls.count("publish_run 7") >= 2


async def test_a_host_that_is_gone_keeps_no_run_open(skipping: WorkflowEnvironment, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(run_workflow, "CLEAR_TIMEOUT", SHORT)
    steps = Steps()
    async with workers(skipping.client, steps, queues=(CONTROL_QUEUE,), is_sandboxed=False):
        handle = await skipping.client.start_workflow(
            RUN_WORKFLOW, RUN, id="run-7", task_queue=CONTROL_QUEUE, result_type=RunEnd
        )
        await happens(handle, EventType.EVENT_TYPE_ACTIVITY_TASK_SCHEDULED)
        await handle.signal(STOP_SIGNAL)
        end = await handle.result()
    assert steps.calls == ["finish_run 7"]
    assert steps.ends == [end]
