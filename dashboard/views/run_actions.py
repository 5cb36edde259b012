"""Starting, stopping and repeating runs from the pages. What was decided is decided in `workflows.operations`."""

from collections.abc import Callable

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.models import Role
from agent_runs.errors import RunError
from agent_runs.models import LIVE_STATUSES, AgentRun, RunTrigger
from agent_runs.querysets import live_runs
from dashboard.views.access import AccountRequest, account_page, get_issue, get_run
from dashboard.views.asking import Question, ask
from metrics.errors import BudgetExhausted
from prompts.errors import NoModelAvailable, PromptError
from workflows.errors import CannotStart
from workflows.operations import retry_run, start_demo_run, start_run, stop_run

# Each of them says in its message what happened and what to do.
REFUSALS = (CannotStart, RunError, PromptError, NoModelAvailable, BudgetExhausted)


@account_page("POST", role=Role.MEMBER)
def demo_start(request: AccountRequest) -> HttpResponse:
    """Try it: the sample run, then its live page. While one is under way, that one."""
    live = live_runs(request.account.pk).filter(trigger=RunTrigger.DEMO).first()
    if live is not None:
        return redirect("run", request.account.slug, live.pk)
    back = redirect("overview", request.account.slug)
    return _started(request, lambda: start_demo_run(account=request.account, actor=request.user), back)


@account_page("POST", role=Role.MEMBER)
def issue_run(request: AccountRequest, project_id: int, number: int) -> HttpResponse:
    issue = get_issue(request, project_id, number)
    back = redirect("issue", request.account.slug, project_id, number)
    return _started(request, lambda: start_run(project=issue.project, issue=issue, actor=request.user), back)


@account_page("POST", role=Role.MEMBER)
def run_retry(request: AccountRequest, run_id: int) -> HttpResponse:
    run = get_run(request, run_id)
    back = redirect("run", request.account.slug, run_id)
    return _started(request, lambda: retry_run(run=run, actor=request.user), back)


@account_page("GET", "POST", role=Role.MEMBER)
def run_stop(request: AccountRequest, run_id: int) -> HttpResponse:
    run = get_run(request, run_id)
    here = redirect("run", request.account.slug, run_id)
    if run.status not in LIVE_STATUSES:
        messages.info(request, "This run has ended already.")
        return here
    if request.method == "POST":
        try:
            stop_run(run=run, actor=request.user)
        except RunError as error:
            messages.info(request, str(error))
        return here
    question = Question(
        title="Stop this run?",
        text="The agent is ended within seconds. What it has not published is thrown away; what it cost stays paid.",
        button="Stop the run",
        back=reverse("run", args=[request.account.slug, run_id]),
        action=request.path,
    )
    return ask(request, question)


def _started(request: AccountRequest, start: Callable[[], AgentRun], back: HttpResponse) -> HttpResponse:
    """To the new run's live page, or back with the reason why there is none."""
    try:
        run = start()
    except REFUSALS as error:
        messages.error(request, str(error))
        return back
    return redirect("run", request.account.slug, run.pk)
