"""One issue: its runs, one after the other, whatever arrives how often."""

from temporalio import workflow
from temporalio.common import WorkflowIDReusePolicy
from temporalio.exceptions import ChildWorkflowError, WorkflowAlreadyStartedError

with workflow.unsafe.imports_passed_through():
    from workflows.contracts import (
        CONTROL_QUEUE,
        ISSUE_WORKFLOW,
        RESUME_SIGNAL,
        RUN_WORKFLOW,
        START_SIGNAL,
        STOP_SIGNAL,
        IssueInput,
        IssueSummary,
        Resumption,
        RunRef,
        run_workflow_id,
    )

REMEMBERED_RUNS = 100
RUNS_BEFORE_CONTINUING = 25


@workflow.defn(name=ISSUE_WORKFLOW)
class IssueWorkflow:
    """Ends as soon as nothing is left to do: signal-with-start brings it back.

    A signal that meets the end of the last execution is not lost: the server refuses to close a workflow that has
    an unread signal, and the task is done again with it.
    """

    @workflow.init
    def __init__(self, carried: IssueInput) -> None:
        self._pending = list(carried.pending)
        self._seen = list(carried.seen)
        self._current: int | None = None
        self._handled = 0

    @workflow.run
    async def run(self, carried: IssueInput) -> IssueSummary:
        while self._pending or not workflow.all_handlers_finished():
            if not self._pending:
                await workflow.wait_condition(workflow.all_handlers_finished)
                continue
            await self._run_one(self._pending.pop(0))
            if self._handled >= RUNS_BEFORE_CONTINUING or workflow.info().is_continue_as_new_suggested():
                await workflow.wait_condition(workflow.all_handlers_finished)
                workflow.continue_as_new(IssueInput(tuple(self._pending), tuple(self._seen)))
        return IssueSummary(self._handled)

    @workflow.signal(name=START_SIGNAL)
    def start_run(self, run: RunRef) -> None:
        if run.run_id in self._seen:
            return
        self._seen = [*self._seen, run.run_id][-REMEMBERED_RUNS:]
        self._pending.append(run)

    @workflow.signal(name=STOP_SIGNAL)
    async def stop_run(self, run: RunRef) -> None:
        """Pass it on to the run that works now. One that has not begun finds the request on its row."""
        if run.run_id != self._current:
            return
        handle = workflow.get_external_workflow_handle(run_workflow_id(run.run_id))
        try:
            await handle.signal(STOP_SIGNAL)
        except Exception:  # the run ended in between: there is nothing left to stop
            workflow.logger.info("Run %s ended before it could be told to stop", run.run_id)

    @workflow.signal(name=RESUME_SIGNAL)
    async def resume_run(self, resumption: Resumption) -> None:
        """Pass it on, also when this execution does not know the run: it may have been started anew by this signal."""
        handle = workflow.get_external_workflow_handle(run_workflow_id(resumption.run_id))
        try:
            await handle.signal(RESUME_SIGNAL, resumption)
        except Exception:  # the run ended in between: there is nothing left to resume
            workflow.logger.info("Run %s ended before it could be told to go on", resumption.run_id)

    async def _run_one(self, run: RunRef) -> None:
        self._current = run.run_id
        try:
            await workflow.execute_child_workflow(
                RUN_WORKFLOW,
                run,
                id=run_workflow_id(run.run_id),
                task_queue=CONTROL_QUEUE,
                # A run in flight outlives this workflow: what ends it is its own finish.
                parent_close_policy=workflow.ParentClosePolicy.ABANDON,
                # Also when this workflow has forgotten the run: one run id, one execution.
                id_reuse_policy=WorkflowIDReusePolicy.REJECT_DUPLICATE,
            )
        except WorkflowAlreadyStartedError:
            workflow.logger.info("Run %s was started before", run.run_id)
        except ChildWorkflowError:
            workflow.logger.warning("Run %s ended badly; its row is settled by the reconciliation", run.run_id)
        finally:
            self._current = None
            self._handled += 1
