"""What the forge tells, as our rows. Messages may arrive late, twice and in any order: an older one changes nothing."""

from datetime import datetime, timedelta

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from projects.forges.base import ForgeIssue, ForgePullRequest
from projects.forges.github.progress import Progress
from projects.models import Issue, Project, PullRequest, PullRequestState, WorkState

# A webhook tells the label's time by the issue's `updated_at`, the poll by the label's own event: seconds apart.
SAME_REQUEST = timedelta(seconds=5)


@transaction.atomic
def store_issue(*, project: Project, told: ForgeIssue) -> Issue:
    """Make or refresh our copy and return it locked, so that whoever decides about the issue decides alone.

    Call it inside of a transaction that does so: the lock lasts until its end.
    """
    Issue.objects.bulk_create(
        [Issue(account_id=project.account_id, project=project, number=told.number, title=told.title)],
        ignore_conflicts=True,
    )
    issue = Issue.objects.select_for_update().get(project=project, number=told.number)
    if issue.forge_updated_at and told.updated_at and told.updated_at < issue.forge_updated_at:
        return issue
    issue.title, issue.body, issue.state, issue.labels = told.title, told.body, told.state, list(told.labels)
    issue.forge_id, issue.author, issue.url, issue.forge_updated_at = (
        told.forge_id,
        told.author[:200],
        told.url[:2000],
        told.updated_at,
    )
    issue.save()
    return issue


@transaction.atomic
def take_request(*, issue: Issue, requested_by: str, requested_at: datetime) -> bool:
    """Whether this asking is a new one; it is noted then, and the same asking told again (by the other way) is not.

    `issue` is locked by `store_issue`.
    """
    is_new = Issue.objects.filter(
        Q(requested_at__isnull=True) | Q(requested_at__lt=requested_at - SAME_REQUEST), pk=issue.pk
    ).update(requested_at=requested_at, requested_by=requested_by[:200])
    issue.refresh_from_db(fields=["requested_at", "requested_by"])
    return bool(is_new)


@transaction.atomic
def record_pull_request(
    *,
    project: Project,
    issue: Issue,
    opened: ForgePullRequest,
    marker: str,
    title: str,
    body: str,
    branch: str,
    base_sha: str,
) -> PullRequest:
    """Our copy of a pull request that was found or opened on GitHub for a run. Told twice, it is one row."""
    pull_request, _ = PullRequest.objects.update_or_create(
        project=project,
        marker=marker,
        defaults={
            "account_id": project.account_id,
            "issue": issue,
            "number": opened.number,
            "title": title[:1000],
            "body": body,
            "head_branch": branch,
            "base_branch": project.default_branch,
            "head_sha": opened.head_sha,
            "base_sha": base_sha,
            "url": opened.url,
        },
    )
    return pull_request


@transaction.atomic
def store_progress(*, pull_request: PullRequest, progress: Progress) -> None:
    """Note what became of a pull request; a merged one finishes its issue."""
    told = progress.pull_request
    PullRequest.objects.filter(pk=pull_request.pk).update(
        state=told.state,
        head_sha=told.head_sha or F("head_sha"),
        # GitHub tells the moment; should it not, ours is near enough for the constraint that wants one.
        merged_at=(progress.merged_at or Now()) if told.state == "merged" else None,
        merged_by=progress.merged_by[:200],
        closed_at=progress.closed_at,
        review_state=progress.review_state,
        checks_state=progress.checks_state,
    )
    pull_request.refresh_from_db()
    if pull_request.state == PullRequestState.MERGED and pull_request.issue_id is not None:
        Issue.objects.filter(pk=pull_request.issue_id, work_state=WorkState.IN_REVIEW).update(work_state=WorkState.DONE)


def is_asked_for(*, issue: Issue, trigger: str) -> bool:
    return issue.state == "open" and trigger in issue.labels
