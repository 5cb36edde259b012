"""Projects and their issues."""

from django.http import HttpResponse
from django.shortcuts import render

from accounts.models import Role
from agent_runs.models import LIVE_STATUSES, AgentRun
from agent_runs.querysets import with_names
from dashboard.views.access import AccountRequest, account_page, get_issue, get_project, may, may_work
from projects.models import Issue, IssueState, Project
from projects.querysets import comments_of, issues_of, projects_of, pull_requests_of

ISSUES_SHOWN = 200


@account_page()
def projects(request: AccountRequest) -> HttpResponse:
    found = list(projects_of(request.account.pk))
    context = {
        "projects": [_summary(project) for project in found],
        "may_start": may_work(request.membership),
        "may_connect": may(request, Role.ADMIN),
    }
    return render(request, "dashboard/projects/list.html", context)


def _summary(project: Project) -> dict[str, object]:
    return {
        "project": project,
        "open_issues": issues_of(project).filter(state=IssueState.OPEN).count(),
        "live_runs": AgentRun.objects.filter(
            account_id=project.account_id, project=project, status__in=LIVE_STATUSES
        ).count(),
        "last_run": AgentRun.objects.filter(account_id=project.account_id, project=project)
        .order_by("-created_at", "-id")
        .only("created_at", "status")
        .first(),
    }


@account_page()
def project(request: AccountRequest, project_id: int) -> HttpResponse:
    found = get_project(request, project_id)
    issues = list(issues_of(found)[:ISSUES_SHOWN])
    context = {
        "project": found,
        "issues": _with_runs(issues),
        "pull_requests": list(pull_requests_of(found)[:20]),
        "may_start": may_work(request.membership),
    }
    return render(request, "dashboard/projects/project.html", context)


def _with_runs(issues: list[Issue]) -> list[dict[str, object]]:
    """Each issue with its newest run, how many there were, and what they cost together: one query for all."""
    runs: dict[int, list[AgentRun]] = {}
    found = AgentRun.objects.filter(issue__in=issues).only("issue_id", "status", "cost_usd", "created_at")
    for run in found.order_by("-created_at", "-id"):
        runs.setdefault(run.issue_id, []).append(run)
    return [
        {
            "issue": issue,
            "runs": runs.get(issue.pk, []),
            "newest": next(iter(runs.get(issue.pk, [])), None),
            "cost_usd": sum(run.cost_usd for run in runs.get(issue.pk, [])),
        }
        for issue in issues
    ]


@account_page()
def issue(request: AccountRequest, project_id: int, number: int) -> HttpResponse:
    found = get_issue(request, project_id, number)
    runs = list(with_names(AgentRun.objects.filter(issue=found)).order_by("-created_at", "-id")[:50])
    context = {
        "issue": found,
        "project": found.project,
        "runs": runs,
        "has_live_run": any(run.status in LIVE_STATUSES for run in runs),
        "comments": list(comments_of(found.project, found.number)),
        "may_start": may_work(request.membership),
    }
    return render(request, "dashboard/projects/issue.html", context)
