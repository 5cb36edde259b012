from temporalio.client import Client, WorkflowHandle
from temporalio.common import WorkflowIDConflictPolicy
from temporalio.testing import WorkflowEnvironment

from tests.workflows.playing import workers
from tests.workflows.steps import Steps
from workflows.contracts import (
    CONTROL_QUEUE,
    ISSUE_WORKFLOW,
    START_SIGNAL,
    STOP_SIGNAL,
    IssueInput,
    IssueSummary,
    RunRef,
    Verdict,
)


async def ask(client: Client, signal: str, run_id: int) -> WorkflowHandle[object, IssueSummary]:
    return await client.start_workflow(
        ISSUE_WORKFLOW,
        IssueInput(),
        id="issue-1-42",
        task_queue=CONTROL_QUEUE,
        start_signal=signal,
        start_signal_args=[RunRef(1, run_id)],
        id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
        result_type=IssueSummary,
    )


def agents_started(steps: Steps) -> list[str]:
    return [call for call in steps.calls if call.startswith("run_agent")]


async def test_a_request_that_arrives_many_times_is_one_run(skipping: WorkflowEnvironment):
    steps = Steps()
    handles = [await ask(skipping.client, START_SIGNAL, 7) for _ in range(5)]
    async with workers(skipping.client, steps):
        summary = await handles[0].result()
    assert summary == IssueSummary(runs=1)
    assert agents_started(steps) == ["run_agent 7"]


async def test_a_request_that_arrives_after_the_end_starts_nothing_again(skipping: WorkflowEnvironment):
    steps = Steps()
    async with workers(skipping.client, steps):
        await (await ask(skipping.client, START_SIGNAL, 7)).result()
        await (await ask(skipping.client, START_SIGNAL, 7)).result()
    assert agents_started(steps) == ["run_agent 7"]


async def test_runs_of_one_issue_come_one_after_the_other(skipping: WorkflowEnvironment):
    steps = Steps()
    for run_id in (7, 8):
        handle = await ask(skipping.client, START_SIGNAL, run_id)
    async with workers(skipping.client, steps):
        summary = await handle.result()
    assert summary == IssueSummary(runs=2)
    assert steps.calls.index("finish_run 7") < steps.calls.index("prepare_workspace 8")


async def test_it_continues_as_new_and_forgets_nobody(skipping: WorkflowEnvironment):
    steps = Steps()
    for run_id in range(1, 31):
        handle = await ask(skipping.client, START_SIGNAL, run_id)
    async with workers(skipping.client, steps):
        summary = await handle.result()
    assert summary == IssueSummary(runs=5)
    assert agents_started(steps) == [f"run_agent {run_id}" for run_id in range(1, 31)]


async def test_a_stop_reaches_the_run_that_works(skipping: WorkflowEnvironment):
    steps = Steps(hangs=frozenset({"run_agent"}))
    async with workers(skipping.client, steps):
        handle = await ask(skipping.client, START_SIGNAL, 7)
        await steps.began.wait()
        await ask(skipping.client, STOP_SIGNAL, 7)
        await handle.result()
    assert [end.outcome.verdict for end in steps.ends] == [Verdict.STOPPED]


async def test_a_stop_for_a_run_that_has_ended_does_nothing(skipping: WorkflowEnvironment):
    steps = Steps()
    async with workers(skipping.client, steps):
        await (await ask(skipping.client, START_SIGNAL, 7)).result()
        summary = await (await ask(skipping.client, STOP_SIGNAL, 7)).result()
    assert summary == IssueSummary(runs=0)
    assert [end.outcome.verdict for end in steps.ends] == [Verdict.DONE]


async def test_a_run_whose_command_says_so_asks_for_its_model(skipping: WorkflowEnvironment):
    steps = Steps()
    handle: WorkflowHandle[object, IssueSummary] = await skipping.client.start_workflow(
        ISSUE_WORKFLOW,
        IssueInput(pending=(RunRef(1, 7),)),
        id="issue-1-42",
        task_queue=CONTROL_QUEUE,
        start_signal=START_SIGNAL,
        start_signal_args=[{"account_id": 1, "run_id": 8, "asks_for_model": True}],
        result_type=IssueSummary,
    )
    async with workers(skipping.client, steps):
        await handle.result()
    assert [call for call in steps.calls if call.startswith("choose_model")] == ["choose_model 8"]
