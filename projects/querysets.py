"""Reads of projects, issues and pull requests."""

from django.db.models import QuerySet

from projects.models import Comment, Issue, Project, PullRequest


def projects_of(account_id: int) -> QuerySet[Project]:
    return Project.objects.filter(account_id=account_id).order_by("-is_active", "name", "id")


def issues_of(project: Project) -> QuerySet[Issue]:
    """Open ones first, newest first."""
    return Issue.objects.filter(account_id=project.account_id, project=project).order_by("-state", "-number")


def pull_requests_of(project: Project) -> QuerySet[PullRequest]:
    found = PullRequest.objects.filter(account_id=project.account_id, project=project)
    return found.select_related("issue").order_by("-number")


def comments_of(project: Project, number: int) -> QuerySet[Comment]:
    return Comment.objects.filter(account_id=project.account_id, project=project, number=number).order_by("id")
