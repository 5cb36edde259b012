"""What a person decides about the money of a run: to grant it more, or to let a paused one go on."""

from collections.abc import Callable
from decimal import Decimal

from django import forms
from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.models import Role
from agent_runs.errors import RunError
from agent_runs.limits import RunLimits
from agent_runs.models import LIVE_STATUSES, AgentRun, RunStatus
from dashboard.forms.styled import StyledForm
from dashboard.templatetags.display import short_usd
from dashboard.views.access import AccountRequest, account_page, get_run
from dashboard.views.asking import Question, ask
from metrics.errors import BudgetExhausted, OwnLimitReached
from workflows.operations import grant_budget, resume_run

REFUSALS = (RunError, BudgetExhausted, OwnLimitReached)


class GrantForm(StyledForm):
    amount_usd = forms.DecimalField(
        label="More, in USD",
        min_value=Decimal("0.01"),
        max_value=Decimal(10_000),
        decimal_places=2,
        help_text="On top of what the run may spend by its own limit. Hard budgets still hold.",
    )


@account_page("GET", "POST", role=Role.ADMIN)
def run_grant(request: AccountRequest, run_id: int) -> HttpResponse:
    run = get_run(request, run_id)
    if run.status not in LIVE_STATUSES:
        return _ended(request, run)
    usual = RunLimits.model_validate(run.limits).cost_usd
    form = GrantForm(request.POST or None, initial={"amount_usd": f"{usual:.2f}"})
    if form.is_valid():
        amount = form.cleaned_data["amount_usd"]
        return _decided(request, run, lambda: grant_budget(run=run, amount_usd=amount, actor=request.user))
    is_paused = run.status == RunStatus.PAUSED
    question = Question(
        title="Grant this run more budget?",
        text="It goes on with a new session of its agent, over the files as they are."
        if is_paused
        else "The agent works on and may spend so much more.",
        button="Grant and resume" if is_paused else "Grant",
        back=reverse("run", args=[request.account.slug, run_id]),
        action=request.path,
        is_destructive=False,
    )
    response = ask(request, question, form)
    response.status_code = 422 if form.errors else 200
    return response


@account_page("GET", "POST", role=Role.MEMBER)
def run_resume(request: AccountRequest, run_id: int) -> HttpResponse:
    run = get_run(request, run_id)
    if run.status not in LIVE_STATUSES:
        return _ended(request, run)
    if request.method == "POST":
        return _decided(request, run, lambda: resume_run(run=run, actor=request.user))
    question = Question(
        title="Resume this run?",
        text="It goes on with what is left of its own limit and of the budgets that cover it. A new session of its "
        "agent takes over the files as they are.",
        button="Resume",
        back=reverse("run", args=[request.account.slug, run_id]),
        action=request.path,
        is_destructive=False,
    )
    return ask(request, question)


def _decided(request: AccountRequest, run: AgentRun, decide: Callable[[], Decimal]) -> HttpResponse:
    try:
        got = decide()
    except REFUSALS as error:
        messages.error(request, str(error))
    else:
        messages.success(request, f"The run has ${short_usd(got)} more to spend.")
    return redirect("run", request.account.slug, run.pk)


def _ended(request: AccountRequest, run: AgentRun) -> HttpResponse:
    messages.info(request, "This run has ended already.")
    return redirect("run", request.account.slug, run.pk)
