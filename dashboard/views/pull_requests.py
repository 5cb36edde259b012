"""The review page of a pull request."""

from django import forms
from django.http import HttpResponse
from django.shortcuts import render

from agent_runs.models import AgentRun, RunDiff
from dashboard import diffs
from dashboard.forms.projects import CommentForm
from dashboard.views.access import AccountRequest, account_page, get_pull_request, may_work
from projects.models import ForgeKind, PullRequest
from projects.querysets import comments_of


@account_page()
def pull_request(request: AccountRequest, pull_request_id: int) -> HttpResponse:
    return pull_request_page(request, get_pull_request(request, pull_request_id), CommentForm())


def pull_request_page(request: AccountRequest, found: PullRequest, form: forms.Form) -> HttpResponse:
    run = run_of(found)
    diff = RunDiff.objects.filter(agent_run=run).first() if run else None
    context = {
        "pull_request": found,
        "description": _without_marker(found.body),
        "project": found.project,
        "run": run,
        "diff": diff,
        "files": diffs.parse(diff.patch) if diff else [],
        "comments": list(comments_of(found.project, found.number)),
        "comment_form": form,
        "is_local": found.project.forge == ForgeKind.LOCAL,
        "may_judge": may_work(request.membership),
    }
    return render(request, "dashboard/pull_requests/page.html", context, status=422 if form.errors else 200)


def run_of(pull_request: PullRequest) -> AgentRun | None:
    """The newest run of the account that worked on it."""
    runs = AgentRun.objects.filter(account_id=pull_request.account_id, pull_request=pull_request)
    return runs.select_related("language_model").order_by("-created_at").first()


def _without_marker(body: str) -> str:
    """Forges hide HTML comments; the marker that names the run is one."""
    kept = [line for line in body.splitlines() if not line.strip().startswith("<!--")]
    return "\n".join(kept).strip()
