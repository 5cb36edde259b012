"""Projects and their issues."""

from collections import Counter

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.models import Role
from agent_runs.models import AgentRun, RunStatus
from agent_runs.querysets import live_runs, newest
from dashboard.forms.projects import IssueForm, MetaAgentForm
from dashboard.label_filter import LabelFilter
from dashboard.project_rows import ProjectRow, with_runs
from dashboard.views.access import AccountRequest, account_page, get_issue, get_project, may, may_work
from dashboard.views.asking import FormPage, form_page
from metrics.analytics.runs import ProjectTotals, totals_by_project
from projects.local_issues import write_issue
from projects.models import ForgeKind, Issue
from projects.operations import set_meta_agent
from projects.querysets import comments_of, issues_of, open_issues_of, projects_of, pull_requests_of, with_open_issues
from projects.settings_shape import ProjectSettings

ISSUES_SHOWN = 200


@account_page()
def projects(request: AccountRequest) -> HttpResponse:
    account_id = request.account.pk
    totals = totals_by_project(account_id)
    live = Counter(live_runs(account_id).values_list("project_id", flat=True))
    rows = [
        # `open_issues` is an annotation, of which types know nothing.
        ProjectRow(found, found.open_issues, totals.get(found.pk, ProjectTotals()), live[found.pk])  # type: ignore[attr-defined]
        for found in with_open_issues(projects_of(account_id))
    ]
    context = {
        "projects": rows,
        "may_start": may_work(request.membership),
        "may_connect": may(request, Role.ADMIN),
    }
    return render(request, "dashboard/projects/list.html", context)


@account_page()
def project(request: AccountRequest, project_id: int) -> HttpResponse:
    found = get_project(request, project_id)
    labels = LabelFilter.of(request.GET)
    context = {
        "project": found,
        "issues": with_runs(issues_of(found, labels=labels.names)[:ISSUES_SHOWN]),
        "open_issues": open_issues_of(found),
        "labels": labels,
        "totals": totals_by_project(request.account.pk).get(found.pk, ProjectTotals()),
        "pull_requests": list(pull_requests_of(found)[:20]),
        "may_start": may_work(request.membership),
        "may_change": may(request, Role.ADMIN),
        "asks_for_models": ProjectSettings.model_validate(found.settings).meta_agent.is_on,
    }
    return render(request, "dashboard/projects/project.html", context)


@account_page("GET", "POST", role=Role.ADMIN)
def project_meta_agent(request: AccountRequest, project_id: int) -> HttpResponse:
    """Whether a model chooses the model of this project's runs."""
    found = get_project(request, project_id)
    now = ProjectSettings.model_validate(found.settings).meta_agent
    form = MetaAgentForm(request.POST) if request.method == "POST" else MetaAgentForm(initial=now.model_dump())
    if form.is_valid():
        set_meta_agent(project=found, settings=form.settings(), actor=request.user)
        said = "A model is asked" if form.cleaned_data["is_on"] else "The rules decide"
        messages.success(request, f"{said} for every run that starts from now on.")
        return redirect("project", request.account.slug, found.pk)
    page = FormPage(
        title="How a model is chosen",
        text="The rules take what a person asked for, then what the preferences say, then the cheapest. A model that "
        "reads the issue first can do better; asking it costs a little, and some seconds.",
        button="Save",
        back=reverse("project", args=[request.account.slug, found.pk]),
        back_label=found.name,
    )
    return form_page(request, page, form)


@account_page()
def issue(request: AccountRequest, project_id: int, number: int) -> HttpResponse:
    found = get_issue(request, project_id, number)
    runs = runs_of_issue(found)
    context = {
        "issue": found,
        "project": found.project,
        "runs": runs,
        "failed_run": runs[0] if runs and runs[0].status == RunStatus.FAILED else None,
        "has_live_run": any(RunStatus(run.status).is_live for run in runs),
        "comments": list(comments_of(found.project, found.number)),
        "may_start": may_work(request.membership),
    }
    return render(request, "dashboard/projects/issue.html", context)


def runs_of_issue(issue: Issue) -> list[AgentRun]:
    return newest(AgentRun.objects.filter(account_id=issue.account_id, issue=issue), 50)


@account_page("GET", "POST", role=Role.MEMBER)
def issue_new(request: AccountRequest, project_id: int) -> HttpResponse:
    found = get_project(request, project_id)
    if found.forge != ForgeKind.LOCAL:
        raise Http404
    form = IssueForm(request.POST) if request.method == "POST" else IssueForm()
    if form.is_valid():
        written = write_issue(project=found, author=request.user, **form.cleaned_data)
        return redirect("issue", request.account.slug, found.pk, written.number)
    page = FormPage(
        title="New issue",
        text="Say it as you would to a colleague who has never seen this code.",
        button="Create issue",
        back=reverse("project", args=[request.account.slug, found.pk]),
        back_label=found.name,
    )
    return form_page(request, page, form)
