"""Listening to a forge: webhooks that were delivered, and the poll that finds what they missed.

GitHub is asked outside of any transaction; what came of it is written in one, together with the claim's end.
"""

from datetime import timedelta

from temporalio import activity
from temporalio.exceptions import ApplicationError

from paid.lib.tenancy import tenant
from projects import polling, webhooks
from projects.contracts import DeliveryRef, ProjectRef
from projects.forges.base import ForgeError, ForgeUnavailable, RateLimited
from projects.forges.github import GithubForge
from projects.mirror import store_progress
from projects.models import ClaimState, Project, PullRequest
from workflows.forge_contracts import DIGEST_DELIVERY, GIVE_UP_DELIVERY, POLL_PROJECT, PollOutcome
from workflows.operations.forge_events import (
    NOTHING_NEW,
    Request,
    lose_issue,
    refresh_issue,
    request_run,
    trigger_of,
)


class ClaimLost(Exception):
    """Another worker digests this delivery: what this one did is undone."""


def may_heal(error: ForgeUnavailable) -> ApplicationError:
    """Has Temporal try again: after the wait that the forge asked for, else as the retry policy says."""
    wait = timedelta(seconds=error.retry_after_seconds) if isinstance(error, RateLimited) else None
    return ApplicationError(str(error), type="ForgeUnavailable", next_retry_delay=wait)


@activity.defn(name=DIGEST_DELIVERY, no_thread_cancel_exception=True)
def digest_delivery(ref: DeliveryRef) -> None:
    """Do what a delivery means. A second attempt, or a second delivery of it, finds it done."""
    # ClaimedElsewhere is raised on purpose: this attempt is over, and a later one finds the claim run out.
    claimed = webhooks.claim(ref.delivery_id)
    if claimed is None:
        return
    try:
        _digest(claimed)
    except ForgeUnavailable as error:
        webhooks.release(claimed.id)
        raise may_heal(error) from None
    except ForgeError as error:
        webhooks.settle(claimed.id, ClaimState.FAILED, str(error))
    except BaseException:
        webhooks.release(claimed.id)
        raise


@activity.defn(name=GIVE_UP_DELIVERY, no_thread_cancel_exception=True)
def give_up_delivery(ref: DeliveryRef) -> None:
    webhooks.give_up(ref.delivery_id, "GitHub could not be asked about it for hours. The poll catches up on it.")


@activity.defn(name=POLL_PROJECT, no_thread_cancel_exception=True)
def poll_project(ref: ProjectRef) -> PollOutcome:
    """Read what changed since the last poll and do what it means."""
    project = polling.pollable(ref.account_id, ref.project_id)
    if project is None:
        return PollOutcome(error="The project is switched off or gone.")
    try:
        news = polling.ask(project)
    except ForgeError as error:
        with tenant(project.account_id):
            polling.keep_error(project=project, error=str(error))
        if isinstance(error, ForgeUnavailable):
            raise may_heal(error) from None
        return PollOutcome(error=str(error))
    started = sum(_take_labelled(project, found) for found in news.labelled)
    with tenant(project.account_id):
        for issue in news.changed:
            refresh_issue(project=project, told=issue)
        for number in news.gone:
            lose_issue(project=project, number=number)
        for progress in news.progress:
            store_progress(project=project, progress=progress)
        polling.keep(project=project, news=news)
    return PollOutcome(started_runs=started)


def _take_labelled(project: Project, found: polling.LabelledIssue) -> int:
    """One transaction an issue: one that cannot be dealt with must not keep back the others."""
    with tenant(project.account_id):
        if not found.is_allowed:
            refresh_issue(project=project, told=found.issue)
            return 0
        request = request_run(project=project, told=found.issue, requested_by=found.actor, requested_at=found.at)
    _tell_refusal(project, found.issue.number, request, str(int(found.at.timestamp())))
    return 1 if request.run_id is not None else 0


def _digest(claimed: webhooks.Claimed) -> None:
    with tenant(claimed.account_id):
        project = Project.objects.filter(pk=claimed.project_id, is_active=True).first()
    meaning = webhooks.meaning_of(claimed.event, claimed.payload)
    if project is None or meaning is None:
        webhooks.settle(claimed.id, ClaimState.IGNORED, "The project is switched off." if project is None else "")
        return
    match meaning:
        case webhooks.IssueLabelled(label=label) if label == trigger_of(project):
            _digest_label(claimed, project, meaning)
        case webhooks.IssueLabelled(issue=issue) | webhooks.IssueChanged(issue=issue):
            with tenant(project.account_id):
                refresh_issue(project=project, told=issue)
                _settle(claimed)
        case webhooks.IssueGone(number):
            with tenant(project.account_id):
                lose_issue(project=project, number=number)
                _settle(claimed)
        case webhooks.PullRequestTouched() | webhooks.CommitChecked():
            _digest_progress(claimed, project, meaning)


def _digest_label(claimed: webhooks.Claimed, project: Project, meaning: webhooks.IssueLabelled) -> None:
    if not GithubForge().may_write(project, meaning.actor):
        with tenant(project.account_id):
            refresh_issue(project=project, told=meaning.issue)
            _settle(
                claimed, ClaimState.IGNORED, f"{meaning.actor} may not push to {project}, so may not ask for a run."
            )
        return
    with tenant(project.account_id):
        request = request_run(project=project, told=meaning.issue, requested_by=meaning.actor, requested_at=meaning.at)
        _settle(claimed)
    _tell_refusal(project, meaning.issue.number, request, str(int(meaning.at.timestamp())))


def _digest_progress(
    claimed: webhooks.Claimed, project: Project, meaning: webhooks.PullRequestTouched | webhooks.CommitChecked
) -> None:
    with tenant(project.account_id):
        rows = PullRequest.objects.filter(project=project)
        match meaning:
            case webhooks.PullRequestTouched(number):
                rows = rows.filter(number=number)
            case webhooks.CommitChecked(sha):
                rows = rows.filter(head_sha=sha)
        numbers = list(rows.order_by("number").values_list("number", flat=True)[:10])
    news = [GithubForge().pull_request(project, number) for number in numbers]
    with tenant(project.account_id):
        for progress in news:
            store_progress(project=project, progress=progress)
        _settle(claimed)


def _settle(claimed: webhooks.Claimed, state: ClaimState = ClaimState.DONE, error: str = "") -> None:
    """Raises ClaimLost, which rolls the transaction around it back."""
    if not webhooks.settle(claimed.id, state, error):
        raise ClaimLost


def _tell_refusal(project: Project, number: int, request: Request, key: str) -> None:
    """Say on the issue why no run started. A crash just before loses the comment; the page has the words too."""
    if request == NOTHING_NEW or not request.refusal:
        return
    body = f"Paid did not start a run: {request.refusal}\n\nThen put the label on again."
    try:
        GithubForge().comment(project, number, body=body, marker=f"refusal-{number}-{key}")
    except ForgeError as error:
        activity.logger.warning("The refusal of issue %s in project %s was not told: %s", number, project.pk, error)
