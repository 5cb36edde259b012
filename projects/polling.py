"""The reconciling poll: what a webhook may have missed is read from GitHub, cheaply, again and again.

Each question is conditional (ETag), and a 304 costs nothing of the rate limit, so an idle project costs nothing.
"""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction
from django.utils import timezone
from pydantic import AwareDatetime, BaseModel, ConfigDict

from paid.lib.tenancy import tenant
from projects.forges.base import ForgeIssue, NotFoundOnForge
from projects.forges.github.forge import GithubForge
from projects.forges.github.progress import Progress
from projects.labels import ProjectLabels
from projects.models import ChecksState, ForgeKind, Issue, Project, PullRequest, PullRequestState, WorkState

# Issues that Paid works on: their own state is asked for, because an issue that lost its label is in no list.
WATCHED = (WorkState.QUEUED, WorkState.IN_PROGRESS)
MAX_WATCHED = 50


class PollState(BaseModel):
    """Shape of `projects.poll_state`. `error` is what a person must mend; an empty one means that it works."""

    model_config = ConfigDict(extra="ignore", frozen=True)

    since: AwareDatetime | None = None
    issues_etag: str = ""
    pull_requests_etag: str = ""
    polled_at: AwareDatetime | None = None
    error: str = ""


@dataclass(frozen=True)
class LabelledIssue:
    """An open issue that carries the trigger label; who put it there and when, as its history tells."""

    issue: ForgeIssue
    actor: str
    at: datetime
    is_allowed: bool


@dataclass(frozen=True)
class News:
    """What the poll found, and the state to keep once all of it was dealt with."""

    labelled: tuple[LabelledIssue, ...]
    changed: tuple[ForgeIssue, ...]
    gone: tuple[int, ...]  # numbers of issues that we work on and that are not there any more
    progress: tuple[Progress, ...]
    etags: tuple[tuple[int, str], ...]  # of watched issues, by number
    state: PollState


def pollable(account_id: int, project_id: int) -> Project | None:
    """The project when there is anything to poll; None when it is gone, switched off, or on no remote forge."""
    with tenant(account_id):
        return Project.objects.filter(
            pk=project_id, forge=ForgeKind.GITHUB, is_active=True, github_token__isnull=False
        ).first()


def ask(project: Project) -> News:
    """Everything that changed since the last poll. Asks GitHub outside of any transaction; raises ForgeErrors."""
    state = PollState.model_validate(project.poll_state)
    forge = GithubForge()
    trigger = ProjectLabels.model_validate(project.labels).trigger
    listing = forge.list_issues(project, label=trigger, since=state.since, etag=state.issues_etag)
    watched, gone, etags = _watched(forge, project, {issue.number for issue in listing.issues})
    pull_requests_etag, progress = _progress(forge, project, state.pull_requests_etag)
    moments = [issue.updated_at for issue in listing.issues if issue.updated_at is not None]
    # `since` moves only with what it finds, so that the same question can be answered "unchanged".
    since = max(moments, default=state.since)
    return News(
        labelled=_labelled(forge, project, listing.issues, trigger),
        changed=(*(issue for issue in listing.issues if issue.state != "open"), *watched),
        gone=gone,
        progress=progress,
        etags=etags,
        state=PollState(
            since=since,
            # An ETag belongs to its question: for another `since` it would never match.
            issues_etag=listing.etag if since == state.since else "",
            pull_requests_etag=pull_requests_etag,
            polled_at=timezone.now(),
        ),
    )


@transaction.atomic
def keep(*, project: Project, news: News) -> None:
    """Note how far the poll came. Call inside of `tenant()`, in the transaction that dealt with the news."""
    Project.objects.filter(pk=project.pk).update(poll_state=news.state.model_dump(mode="json"))
    for number, etag in news.etags:
        Issue.objects.filter(project=project, number=number).update(etag=etag[:200])


@transaction.atomic
def keep_error(*, project: Project, error: str) -> None:
    """Note why the poll failed, for the project's page; where it stood stays. Call inside of `tenant()`."""
    state = PollState.model_validate(project.poll_state).model_copy(update={"error": error[:1000]})
    Project.objects.filter(pk=project.pk).update(poll_state=state.model_dump(mode="json"))


def _labelled(
    forge: GithubForge, project: Project, issues: tuple[ForgeIssue, ...], trigger: str
) -> tuple[LabelledIssue, ...]:
    with tenant(project.account_id):
        known = dict(
            Issue.objects.filter(
                project=project, number__in=[issue.number for issue in issues], requested_at__isnull=False
            ).values_list("number", "forge_updated_at")
        )
    found = []
    for issue in issues:
        # What changed nothing since we last looked needs no look into its history: that is a request each.
        is_old = issue.number in known and known[issue.number] == issue.updated_at
        event = None if issue.state != "open" or is_old else forge.last_labelled(project, issue.number, trigger)
        if event is not None and event.at is not None:
            may = forge.may_write(project, event.actor)
            found.append(LabelledIssue(issue, event.actor, event.at, is_allowed=may))
    return tuple(found)


def _watched(
    forge: GithubForge, project: Project, listed: set[int]
) -> tuple[tuple[ForgeIssue, ...], tuple[int, ...], tuple[tuple[int, str], ...]]:
    """The issues that we work on and that were not listed, as they are now."""
    with tenant(project.account_id):
        rows = Issue.objects.filter(project=project, work_state__in=WATCHED).exclude(number__in=listed)
        watched = list(rows.order_by("number").values_list("number", "etag")[:MAX_WATCHED])
    found, gone, etags = [], [], []
    for number, etag in watched:
        try:
            issue, new_etag = forge.refresh_issue(project, number, etag)
        except NotFoundOnForge:
            gone.append(number)
            continue
        if issue is not None:
            found.append(issue)
            etags.append((number, new_etag))
    return tuple(found), tuple(gone), tuple(etags)


def _progress(forge: GithubForge, project: Project, etag: str) -> tuple[str, tuple[Progress, ...]]:
    """What became of our open pull requests, where GitHub's list of them changed or checks are still running."""
    with tenant(project.account_id):
        rows = list(
            PullRequest.objects.filter(project=project, state=PullRequestState.OPEN).order_by("-number")[:MAX_WATCHED]
        )
    if not rows:
        return "", ()
    is_unchanged, new_etag = forge.pull_requests_unchanged(project, etag)
    due = [row for row in rows if not is_unchanged or row.checks_state == ChecksState.PENDING]
    return new_etag, tuple(forge.pull_request(project, row.number) for row in due)
