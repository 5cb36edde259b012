"""Writes on runs. Every change of status is a compare-and-set: who comes second changes nothing."""

import hashlib
from typing import Any

from django.db import IntegrityError, transaction
from django.db.models.functions import Coalesce, Now

from accounts.models import User
from agent_runs.errors import RunAlreadyLive, RunHasEnded, RunIsNotPaused
from agent_runs.limits import RunLimits
from agent_runs.logs import storable
from agent_runs.models import LIVE_STATUSES, AgentRun, RunStatus, RunTrigger
from agent_runs.models.runs import NEXT_STATUSES
from projects.models import Issue, Project, PullRequest, WorkState
from projects.operations import set_work_state
from prompts.models import AbVariant, LanguageModel, PromptVersion

_ONE_LIVE = "agent_runs_one_live_per_issue"
_MOST_ITERATIONS = 2**31 - 1
_WORK_STATE_AFTER = {
    RunStatus.COMPLETED: WorkState.IN_REVIEW,
    RunStatus.FAILED: WorkState.FAILED,
    RunStatus.STOPPED: WorkState.NEW,
}


@transaction.atomic
def create_run(
    *,
    project: Project,
    issue: Issue,
    prompt_version: PromptVersion,
    prompt_text: str,
    system_prompt_text: str,
    ab_variant: AbVariant | None,
    language_model: LanguageModel,
    agent: str,
    limits: RunLimits,
    trigger: RunTrigger,
    requested_by: User | None,
    retry_of: AgentRun | None,
) -> AgentRun:
    """Insert a queued run. Raises RunAlreadyLive when the issue has one that has not ended."""
    run = AgentRun(
        account_id=project.account_id,
        project=project,
        issue=issue,
        version_account_id=prompt_version.account_id,
        prompt_version=prompt_version,
        ab_variant=ab_variant,
        model_account_id=language_model.account_id,
        language_model=language_model,
        agent=agent,
        prompt_text=prompt_text,
        system_prompt_text=system_prompt_text,
        limits=limits.model_dump(mode="json"),
        trigger=trigger,
        requested_by=requested_by,
        retry_of=retry_of,
    )
    lock_issue(run)
    try:
        with transaction.atomic():
            run.save(force_insert=True)
    except IntegrityError as error:
        if _ONE_LIVE in str(error):
            raise RunAlreadyLive(
                f"A run already works on issue #{issue.number}. Wait for it to end, or stop it first."
            ) from error
        raise
    set_work_state(issue=issue, work_state=WorkState.QUEUED)
    run.refresh_from_db()
    return run


@transaction.atomic
def set_identity(*, run: AgentRun, fingerprint: str, workflow_id: str) -> None:
    """What can be known only once the row is there."""
    AgentRun.objects.filter(pk=run.pk).update(fingerprint=fingerprint, workflow_id=workflow_id)
    run.refresh_from_db()


@transaction.atomic
def change_model(*, run: AgentRun, language_model: LanguageModel) -> bool:
    """Give a run that has not begun another model; False when it has, or shall stop. Its fingerprint comes after."""
    changed = AgentRun.objects.filter(pk=run.pk, status=RunStatus.QUEUED, stop_requested_at=None).update(
        language_model=language_model, model_account_id=language_model.account_id
    )
    run.refresh_from_db()
    return changed == 1


@transaction.atomic
def advance_run(*, run: AgentRun, to: RunStatus) -> None:
    """Move the run on. A run that is there already stays; one that has ended raises RunHasEnded."""
    if to == RunStatus.PREPARING:
        lock_issue(run)
    before = [status for status, following in NEXT_STATUSES.items() if to in following]
    moved = AgentRun.objects.filter(pk=run.pk, status__in=before).update(
        status=to, started_at=Coalesce("started_at", Now()), paused_at=None
    )
    run.refresh_from_db(fields=["status", "started_at"])
    if not moved and run.status != to:
        if run.status in LIVE_STATUSES:
            raise ValueError(f"A run cannot go from {run.status} to {to}.")
        raise RunHasEnded
    if moved and to == RunStatus.PREPARING:
        set_work_state(issue=run.issue, work_state=WorkState.IN_PROGRESS)


@transaction.atomic
def pause_run(*, run: AgentRun, number: int) -> bool:
    """Let a running run wait for a person, for the `number`th time; False when it did so or has gone on already."""
    moved = AgentRun.objects.filter(pk=run.pk, status=RunStatus.RUNNING, pauses=number - 1).update(
        status=RunStatus.PAUSED, paused_at=Now(), pauses=number
    )
    run.refresh_from_db(fields=["status", "paused_at", "pauses"])
    return moved == 1


@transaction.atomic
def unpause_run(*, run: AgentRun) -> None:
    """Let a paused run go on. Raises RunIsNotPaused, also for the second of two at once."""
    if not AgentRun.objects.filter(pk=run.pk, status=RunStatus.PAUSED, stop_requested_at=None).update(
        status=RunStatus.RUNNING, paused_at=None
    ):
        raise RunIsNotPaused
    run.refresh_from_db(fields=["status", "paused_at", "pauses"])


@transaction.atomic
def request_stop(*, run: AgentRun, actor: User | None) -> bool:
    """Remember that the run shall stop; False when that was asked before. Raises RunHasEnded."""
    asked = AgentRun.objects.filter(pk=run.pk, status__in=LIVE_STATUSES, stop_requested_at__isnull=True).update(
        stop_requested_at=Now(), stop_requested_by=actor
    )
    run.refresh_from_db(fields=["status", "stop_requested_at"])
    if not asked and run.status not in LIVE_STATUSES:
        raise RunHasEnded
    return asked == 1


@transaction.atomic
def set_workspace(*, run: AgentRun, branch: str, base_sha: str) -> None:
    lock_issue(run)
    AgentRun.objects.filter(pk=run.pk, status__in=LIVE_STATUSES).update(branch=branch, base_sha=base_sha)
    run.branch, run.base_sha = branch, base_sha


@transaction.atomic
def set_run_token(*, run: AgentRun, token: str) -> None:
    """Let this token through the gateway from now on, and no former one. Only its hash is kept."""
    token_hash = hashlib.sha256(token.encode()).digest()
    if not AgentRun.objects.filter(pk=run.pk, status__in=LIVE_STATUSES).update(run_token_hash=token_hash):
        raise RunHasEnded


@transaction.atomic
def record_outcome(
    *,
    run: AgentRun,
    iterations: int | None = None,
    summary: str | None = None,
    head_sha: str | None = None,
    pull_request: PullRequest | None = None,
) -> None:
    """Note what came of a live run as far as it is known; None leaves a column as it is.

    Both counts and words may be the agent's own: whatever it says, they fit their columns.
    """
    known: dict[str, Any] = {
        "iterations": None if iterations is None else min(max(iterations, 0), _MOST_ITERATIONS),
        "summary": None if summary is None else storable(summary),
        "head_sha": head_sha,
        "pull_request": pull_request,
    }
    changes = {column: value for column, value in known.items() if value is not None}
    if changes:
        AgentRun.objects.filter(pk=run.pk, status__in=LIVE_STATUSES).update(**changes)


@transaction.atomic
def finish_run(*, run: AgentRun, status: RunStatus, error_code: str = "", error: str = "") -> bool:
    """End the run and its token. False when it had ended before: the first word stands."""
    lock_issue(run)
    ended = AgentRun.objects.filter(pk=run.pk, status__in=LIVE_STATUSES).update(
        status=status,
        error_code=error_code,
        error=error,
        run_token_hash=None,
        paused_at=None,
        finished_at=Now(),
    )
    run.refresh_from_db(fields=["status", "error_code", "error", "finished_at"])
    if ended:
        set_work_state(issue=run.issue, work_state=_WORK_STATE_AFTER[status])
    return ended == 1


def lock_issue(run: AgentRun) -> None:
    """Before the run, as who tells of a change of the issue does: the other way round two would wait for each other."""
    Issue.objects.select_for_update(no_key=True).filter(pk=run.issue_id).values_list("pk").first()
