"""`prepare_workspace`: the run's own clone and branch."""

from temporalio import activity

from agent_runs.contracts import Workspace
from agent_runs.limits import RunLimits
from agent_runs.models import TERMINAL_STATUSES, AgentRun, RunStatus, StepName, StepStatus
from agent_runs.notes import note
from agent_runs.operations import advance_run, begin_step, end_step, explain_step, set_workspace
from agent_runs.workspace import WorkspaceError, WorkspaceRefused
from paid.lib.tenancy import tenant
from projects.forges.base import ForgeError, ForgeUnavailable
from projects.forges.registry import forge_for
from workflows.activities.attempts import alone_in
from workflows.activities.outcomes import ALREADY_ENDED, DONE, STOPPED, failed, refused_by_forge, retryable
from workflows.activities.runs import load_run, record_workflow, run_dir_of, workspace_of
from workflows.contracts import PREPARE_WORKSPACE, PreparedRun, RunRef, StepOutcome
from workflows.operations.model_choice import close_choice


@activity.defn(name=PREPARE_WORKSPACE, no_thread_cancel_exception=True)
def prepare_workspace(ref: RunRef) -> PreparedRun:
    """Clone and branch. A second attempt finds the first one's workspace, or makes it again from nothing."""
    record_workflow(ref)
    with tenant(ref.account_id):
        run = load_run(ref)
        if run is None or run.status in TERMINAL_STATUSES:
            return PreparedRun(ALREADY_ENDED)
        end_step(run=run, name=StepName.QUEUE)
        if run.stop_requested_at is not None:
            return PreparedRun(STOPPED)
        begin_step(run=run, name=StepName.WORKSPACE)
        if run.status == RunStatus.QUEUED:
            close_choice(run=run, why="It did not answer in time.")
            advance_run(run=run, to=RunStatus.PREPARING)
    with alone_in(run_dir_of(run.pk)):
        outcome, remarks = _prepare(run)
    with tenant(ref.account_id):
        status = StepStatus.DONE if outcome == DONE else StepStatus.FAILED
        end_step(run=run, name=StepName.WORKSPACE, status=status, detail=outcome.error or " ".join(remarks))
        if remarks:
            note(run=run, text=" ".join(remarks))
    return PreparedRun(outcome, RunLimits.model_validate(run.limits).wall_seconds)


def _prepare(run: AgentRun) -> tuple[StepOutcome, tuple[str, ...]]:
    """How it ended, and what people should know about the files."""
    try:
        forge_for(run.project).check_repository(run.project)
        made = _made(run)
    except ForgeUnavailable as error:
        _say(run, f"{error} Paid asks again.")
        raise retryable(
            "forge_unavailable", f"{error} Retry the run when the forge is reachable again.", error
        ) from error
    except ForgeError as error:
        return refused_by_forge(error, "Check the project's repository and token, then retry the run."), ()
    except WorkspaceRefused as error:
        return failed(error.code, str(error)), ()
    except WorkspaceError as error:
        activity.logger.exception("The workspace of run %s could not be made", run.pk)
        raise retryable(
            "git_failed",
            f"The repository could not be checked out: {error} Check its address and default branch, then retry.",
        ) from error
    with tenant(run.account_id):
        set_workspace(run=run, branch=made.branch, base_sha=made.base_sha)
    return DONE, made.remarks


def _made(run: AgentRun) -> Workspace:
    """The workspace; a fetch that the forge refused raises the forge's error, because a token may die any moment."""
    try:
        return workspace_of(run)
    except WorkspaceRefused:
        raise
    except WorkspaceError as error:
        meaning = forge_for(run.project).meaning_of_fetch(str(error))
        if meaning is None:
            raise
        raise meaning from None


def _say(run: AgentRun, words: str) -> None:
    with tenant(run.account_id):
        explain_step(run=run, name=StepName.WORKSPACE, detail=words)
        note(run=run, text=words)
