"""What the forge tells, as our rows. Messages may arrive late, twice and in any order: an older one changes nothing."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import TYPE_CHECKING

from django.db import transaction
from django.db.models import F, Q
from django.db.models.functions import Now

from paid.lib.tenancy import tenant
from projects.forges.base import ForgeIssue, ForgePullRequest
from projects.models import Issue, Project, PullRequest, WorkState
from projects.querysets import closed_by

if TYPE_CHECKING:
    from projects.forges.github.progress import Progress

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


def record_pull_request(
    *, project: Project, opened: ForgePullRequest, marker: str, title: str, body: str, branch: str, base_sha: str
) -> None:
    """Our copy of a pull request that was found or opened for a run. Told twice, it is one row."""
    with tenant(project.account_id):
        PullRequest.objects.update_or_create(
            project=project,
            marker=marker,
            defaults={
                "account_id": project.account_id,
                "issue": closed_by(project, body),
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


def store_state(
    *,
    project: Project,
    told: ForgePullRequest,
    merged_at: datetime | None,
    merged_by: str,
    closed_at: datetime | None,
) -> None:
    """Note whether a pull request is open, merged or closed; a merged one finishes its issue."""
    with tenant(project.account_id):
        rows = PullRequest.objects.filter(project=project, number=told.number)
        is_merged = told.state == "merged"
        rows.update(
            state=told.state,
            head_sha=told.head_sha or F("head_sha"),
            # GitHub tells the moment; should it not, ours is near enough for the constraint that wants one.
            merged_at=(merged_at or Now()) if is_merged else None,
            closed_at=closed_at,
        )
        if is_merged:
            # Who merged from our page is known better here than on GitHub, which saw our token.
            rows.filter(merged_by="").update(merged_by=merged_by[:200])
            Issue.objects.filter(pull_requests__in=rows, work_state=WorkState.IN_REVIEW).update(
                work_state=WorkState.DONE
            )


def store_progress(*, project: Project, progress: Progress) -> None:
    """Note all that became of a pull request."""
    with tenant(project.account_id):
        store_state(
            project=project,
            told=progress.pull_request,
            merged_at=progress.merged_at,
            merged_by=progress.merged_by,
            closed_at=progress.closed_at,
        )
        PullRequest.objects.filter(project=project, number=progress.pull_request.number).update(
            review_state=progress.review_state, checks_state=progress.checks_state
        )


def is_asked_for(*, issue: Issue, trigger: str) -> bool:
    return issue.state == "open" and trigger in issue.labels
