"""Reads of projects, issues and pull requests."""

import re
from collections.abc import Sequence

from django.db.models import Count, OuterRef, QuerySet, Subquery
from django.db.models.functions import Coalesce

from projects.models import Comment, Issue, IssueState, Project, PullRequest

# Nine digits at most: a longer number is none of ours, and no integer column holds it.
_CLOSES = re.compile(r"\b(?:close[sd]?|fix(?:e[sd])?|resolve[sd]?)\s+#(\d{1,9})\b", re.IGNORECASE)


def projects_of(account_id: int) -> QuerySet[Project]:
    """With what a list of them shows."""
    return Project.objects.filter(account_id=account_id).listed().order_by("-is_active", "name", "id")


def open_issues_of(project: Project) -> int:
    return Issue.objects.filter(account_id=project.account_id, project=project, state=IssueState.OPEN).count()


def with_open_issues(projects: QuerySet[Project]) -> QuerySet[Project]:
    """With `open_issues`, counted for each project by itself: joined, every issue of the account would be read."""
    found = Issue.objects.filter(account_id=OuterRef("account_id"), project_id=OuterRef("pk"), state=IssueState.OPEN)
    counted = found.order_by().values("project_id").annotate(found=Count("*")).values("found")
    return projects.annotate(open_issues=Coalesce(Subquery(counted), 0))


def issues_of(project: Project, *, labels: Sequence[str] = ()) -> QuerySet[Issue]:
    """Those with all of the labels, open ones first, newest first, with what a list of them shows."""
    found = Issue.objects.filter(account_id=project.account_id, project=project)
    narrowed = found.labelled(*labels) if labels else found
    return narrowed.listed().order_by("-state", "-number")


def pull_requests_of(project: Project) -> QuerySet[PullRequest]:
    """With what a list of them shows, without texts; any other column costs a query a row."""
    found = PullRequest.objects.filter(account_id=project.account_id, project=project)
    return found.only("account_id", "project_id", "number", "title", "state", "created_at").order_by("-number")


def comments_of(project: Project, number: int) -> QuerySet[Comment]:
    return Comment.objects.filter(account_id=project.account_id, project=project, number=number).order_by("id")


def closed_by(project: Project, body: str) -> Issue | None:
    """The issue that a pull request's text says it closes, read as GitHub does."""
    found = _CLOSES.search(body)
    return Issue.objects.filter(project=project, number=int(found[1])).first() if found else None
