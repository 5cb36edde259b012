"""`publish_run`: commit, look at the change, push it, and open one pull request. Every part may be done twice."""

import math

from temporalio import activity
from temporalio.exceptions import ApplicationError

from agent_runs import workspace
from agent_runs.contracts import CommitOutcome, Workspace
from agent_runs.models import TERMINAL_STATUSES, AgentRun, RunStatus, StepName, StepStatus
from agent_runs.notes import note
from agent_runs.operations import advance_run, begin_step, end_step, explain_step, record_outcome, store_diff
from paid.lib.tenancy import tenant
from projects.forges.base import Forge, ForgeError, ForgePullRequest, ForgeUnavailable, PushRejected
from projects.forges.github.errors import BranchTaken
from projects.forges.registry import forge_for
from projects.models import PullRequest
from workflows.activities.attempts import alone_in, bounded_surprises, has_attempts_left
from workflows.activities.checks import check_commit_of, in_words, is_given_up
from workflows.activities.outcomes import (
    ALREADY_ENDED,
    DONE,
    STOPPED,
    failed,
    outcome_of_findings,
    refused_by_forge,
    retryable,
)
from workflows.activities.runs import load_run, run_dir_of, workspace_of
from workflows.contracts import PUBLISH_RUN, RunRef, StepOutcome
from workflows.publication import (
    EDITED,
    comment_body,
    commit_message,
    marker_of,
    pull_request_body,
    pull_request_title,
    was_edited,
)

AUTHOR_NAME = "Paid"
AUTHOR_EMAIL = "paid@paid.invalid"
REVIEW_LABEL = "paid: in review"
WAITING = (
    "The change is done and kept on its host; Paid goes on trying to publish it for a day. Stop the run to give it up."
)


@activity.defn(name=PUBLISH_RUN, no_thread_cancel_exception=True)
def publish_run(ref: RunRef) -> StepOutcome:
    """Waits, by failing in a way that is tried again, for a forge that is away: for as long as the workflow lets it."""
    with bounded_surprises():
        with tenant(ref.account_id):
            run = load_run(ref)
            if run is None or run.status in TERMINAL_STATUSES:
                return ALREADY_ENDED
            if run.stop_requested_at is not None:
                return STOPPED
            begin_step(run=run, name=StepName.PUBLISH)
            advance_run(run=run, to=RunStatus.PUBLISHING)
        try:
            outcome = _outcome(run)
        except ApplicationError as waiting:
            _say_what_it_waits_for(run, waiting)
            raise
        with tenant(ref.account_id):
            status = StepStatus.DONE if outcome == DONE else StepStatus.FAILED
            end_step(run=run, name=StepName.PUBLISH, status=status, detail=outcome.error)
        return outcome


def _outcome(run: AgentRun) -> StepOutcome:
    """How it ended; raises ApplicationError for what may heal."""
    try:
        with alone_in(run_dir_of(run.pk)):
            return _publish(run)
    except ForgeUnavailable as error:
        raise retryable(
            "forge_unavailable", f"{error} So the change was not published. Retry the run later.", error
        ) from error
    except BranchTaken as error:
        return failed(error.code, str(error))
    except PushRejected as error:
        return failed(
            error.code,
            f"Somebody else pushed to {run.branch}, so the change was not published. Delete that branch or merge it, "
            "then retry the run.",
        )
    except ForgeError as error:
        return refused_by_forge(error, "Check the project's token and branch rules, then retry the run.")
    except workspace.WorkspaceRefused as error:
        return failed(error.code, str(error))
    except workspace.WorkspaceError as error:
        activity.logger.exception("The change of run %s could not be committed", run.pk)
        raise _not_committed(run, error) from error


def _not_committed(run: AgentRun, error: workspace.WorkspaceError) -> ApplicationError:
    if "No space left on device" in str(error):
        return retryable(
            "disk_full",
            "The disk of the agent's host is full, so the change could not be committed. Make room there "
            "(PAID_RUNS_DIR), then retry the run.",
        )
    # Where an earlier attempt has committed, git works here, and this is an accident.
    is_last = not run.head_sha and not has_attempts_left()
    words = f"The change could not be committed: {error} Retry the run."
    return retryable("git_failed", words, is_last=is_last)


def _say_what_it_waits_for(run: AgentRun, waiting: ApplicationError) -> None:
    if waiting.type != "StepFailed" or waiting.non_retryable:
        return
    wait = waiting.next_retry_delay
    when = "" if wait is None else f" It asked us to wait for {math.ceil(wait.total_seconds() / 60)} min."
    # What comes after the first sentence is advice for a run that has failed.
    what = str(waiting.__cause__ or waiting)
    words = f"{what}{when} {WAITING}"
    with tenant(run.account_id):
        explain_step(run=run, name=StepName.PUBLISH, detail=words)
        note(run=run, text=words)


def _publish(run: AgentRun) -> StepOutcome:
    place = workspace_of(run)
    if place.base_sha != run.base_sha:
        return failed(
            "workspace_lost",
            "The files that the agent worked on are gone (the host was set up anew). Retry the run.",
        )
    commit = workspace.commit_all(
        place, message=commit_message(run), author_name=AUTHOR_NAME, author_email=AUTHOR_EMAIL
    )
    if commit.head_sha is None:
        return failed(
            "no_changes",
            "The agent ended without changing any file, so there is nothing to review. Say in the issue more exactly "
            "what shall change, then retry the run.",
        )
    diff = workspace.diff(git_dir=place.git_dir, base_sha=place.base_sha, head_sha=commit.head_sha)
    with tenant(run.account_id):
        store_diff(run=run, diff=diff)
        record_outcome(run=run, head_sha=commit.head_sha)
    findings = workspace.scan(git_dir=place.git_dir, base_sha=place.base_sha, head_sha=commit.head_sha)
    if findings:
        return outcome_of_findings(findings)
    return _offer(run, place, commit, commit.head_sha)


def _offer(run: AgentRun, place: Workspace, commit: CommitOutcome, head_sha: str) -> StepOutcome:
    """Check the commit, and open its pull request if it is still wanted then."""
    checks = [in_words(check) for check in check_commit_of(run, place, head_sha)]
    if checks and is_given_up(run):
        return STOPPED
    told = forge_for(run.project).fetch_issue(run.project, run.issue.number)
    if told.state == "closed":
        return failed(
            "issue_closed",
            "The issue was closed while the agent worked, so nothing was published. The diff is kept here; open the "
            "issue again and retry the run if the change is still wanted.",
        )
    title, is_edited = pull_request_title(run), was_edited(run, told)
    if is_edited:
        with tenant(run.account_id):
            note(run=run, text=EDITED)
    body = pull_request_body(run, commit, checks=checks, is_edited=is_edited)
    _open_pull_request(run, place, head_sha, title, body)
    return DONE


def _open_pull_request(run: AgentRun, place: Workspace, head_sha: str, title: str, body: str) -> None:
    forge = forge_for(run.project)
    marker = marker_of(run)
    # A forge may be far away: no transaction is open while it is asked.
    forge.push(run.project, git_dir=place.git_dir, branch=place.branch, head_sha=head_sha, expected_sha=None)
    opened = forge.find_or_create_pull_request(
        run.project,
        branch=place.branch,
        head_sha=head_sha,
        title=title,
        body=body,
        marker=marker,
    )
    with tenant(run.account_id):
        _link(run, marker)
        note(run=run, text=f"Pull request #{opened.number} is open: {opened.url}")
    _tell(forge, run, opened, marker)


def _link(run: AgentRun, marker: str) -> None:
    pull_request = PullRequest.objects.filter(project_id=run.project_id, marker=marker).first()
    record_outcome(run=run, pull_request=pull_request)


def _tell(forge: Forge, run: AgentRun, opened: ForgePullRequest, marker: str) -> None:
    forge.comment(run.project, run.issue.number, body=comment_body(run, opened), marker=marker)
    forge.label(run.project, run.issue.number, add=(REVIEW_LABEL,))
