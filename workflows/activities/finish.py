"""The end of a run: nothing of it lives on, on its host and in the database."""

import shutil

from temporalio import activity

from agent_runs import supervisor, workspace
from agent_runs.models import AgentRun, RunStatus, StepName, StepStatus
from agent_runs.notes import note
from agent_runs.operations import begin_step, end_open_steps, end_step, finish_run
from metrics.operations import close_escrow
from metrics.quality.operations import begin_quality
from paid.lib.tenancy import platform, tenant
from workflows.activities.attempts import alone_in
from workflows.activities.outcomes import retryable
from workflows.activities.runs import load_run, run_dir_of
from workflows.activities.spool_tail import SpoolTail
from workflows.contracts import CLEAR_WORKSPACE, FINISH_RUN, RunEnd, RunRef, Verdict
from workflows.models import WorkflowStatus
from workflows.operations.model_choice import close_choice
from workflows.operations.states import record_ended

STATUS_OF = {
    Verdict.DONE: RunStatus.COMPLETED,
    Verdict.STOPPED: RunStatus.STOPPED,
    Verdict.FAILED: RunStatus.FAILED,
}
READ_SECONDS = 0.1


@activity.defn(name=CLEAR_WORKSPACE, no_thread_cancel_exception=True)
def clear_workspace(ref: RunRef) -> None:
    """End the agent if it still lives, keep what it printed, remove the files. Finds nothing the second time."""
    run_dir = run_dir_of(ref.run_id)
    if not run_dir.exists():
        return
    for directory in {str(run_dir), *supervisor.live_in(str(run_dir))}:
        supervisor.request_stop(directory, "The run has ended.")
    while supervisor.live_in(str(run_dir)):
        activity.heartbeat()
        if activity.is_worker_shutdown():
            raise retryable("worker_leaves", "The worker left while it cleared up.")
        activity.wait_for_worker_shutdown_sync(READ_SECONDS)
    with tenant(ref.account_id):
        run = load_run(ref)
    if run is not None:
        SpoolTail(run, str(run_dir)).read_to_end()
    with alone_in(run_dir):
        # Knows how to delete what an agent locked away from its owner.
        workspace.remove(str(run_dir))
        shutil.rmtree(run_dir, ignore_errors=False)


@activity.defn(name=FINISH_RUN, no_thread_cancel_exception=True)
def finish_run_activity(end: RunEnd) -> None:
    """Escrow back, token dead, status final. The first end stands; a second one repeats what it did not get to."""
    with tenant(end.run.account_id):
        run = load_run(end.run)
        if run is None:
            return
    # Before the status: what the run spent is in its row when it ends, and is added to the sums of its day once.
    close_escrow(run=run)
    with tenant(end.run.account_id):
        begin_step(run=run, name=StepName.FINISH)
        close_choice(run=run, why="The run ended before it answered.", is_stopped=True)
        _finish(run, end)
        end_step(run=run, name=StepName.FINISH)
    info = activity.info()
    with platform():
        record_ended(
            workflow_id=info.workflow_id or "",
            temporal_run_id=info.workflow_run_id or "",
            status=WorkflowStatus.COMPLETED,
        )


def _finish(run: AgentRun, end: RunEnd) -> None:
    status = STATUS_OF[end.outcome.verdict]
    if status != RunStatus.COMPLETED:
        step_status = StepStatus.SKIPPED if status == RunStatus.STOPPED else StepStatus.FAILED
        end_open_steps(run=run, except_for=StepName.FINISH, status=step_status, detail=end.outcome.error)
    is_failed = status == RunStatus.FAILED
    has_ended_now = finish_run(
        run=run,
        status=status,
        error_code=end.outcome.error_code if is_failed else "",
        error=end.outcome.error if is_failed else "",
    )
    if has_ended_now and is_failed:
        # In the log too: whoever downloads it, also of a run that had no agent, reads why.
        note(run=run, text=f"The run failed ({run.error_code}). {run.error}")
    elif has_ended_now and status == RunStatus.STOPPED:
        note(run=run, text="The run was stopped.")
    if run.status != RunStatus.STOPPED:
        begin_quality(run=run)
