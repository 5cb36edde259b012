"""What the activities of a run share: reading it as its tenant, its directory, its place in the projection."""

from pathlib import Path

from django.conf import settings
from temporalio import activity

from agent_runs import workspace
from agent_runs.contracts import Workspace
from agent_runs.models import AgentRun
from paid.lib.tenancy import platform
from projects.forges.registry import forge_for
from workflows.contracts import RUN_WORKFLOW, RunRef
from workflows.operations.states import record_started


def load_run(ref: RunRef) -> AgentRun | None:
    """The run, or None when it is gone (its account was erased). Call inside of `tenant()`."""
    try:
        return AgentRun.objects.select_related(
            "account", "project", "issue", "prompt_version__prompt", "language_model"
        ).get(pk=ref.run_id)
    except AgentRun.DoesNotExist:
        return None


def run_dir_of(run_id: int) -> Path:
    """Where a run lives on this host: spool, supervisor's files, workspace."""
    return Path(settings.RUNS_DIR) / str(run_id)


def workspace_of(run: AgentRun) -> Workspace:
    """Make the run's workspace, or find the one that was made. Raises WorkspaceError and ForgeError."""
    forge = forge_for(run.project)
    return workspace.prepare(
        url=forge.clone_url(run.project),
        cache_dir=str(Path(settings.REPOSITORIES_DIR) / "cache" / str(run.project_id)),
        run_dir=str(run_dir_of(run.pk)),
        base_branch=run.project.default_branch,
        branch=workspace.branch_name(run.issue.number, run.issue.title, run.pk),
        environment=forge.git_environment(run.project),
        limit_bytes=settings.REPOSITORY_MAX_MEGABYTES * 1024**2,
    )


def record_workflow(ref: RunRef) -> None:
    """Show the workflow that asked for the current activity on the pages."""
    info = activity.info()
    with platform():
        record_started(
            account_id=ref.account_id,
            workflow_id=info.workflow_id or "",
            temporal_run_id=info.workflow_run_id or "",
            workflow_type=info.workflow_type or RUN_WORKFLOW,
            agent_run_id=ref.run_id,
        )
