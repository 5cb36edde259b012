"""Making experiments and leading them through their life.

Members write drafts and may pause: that only brings everybody back to the version in use. What the account stands by,
a start, a resumption and the end, is an admin's.
"""

from collections.abc import Callable
from dataclasses import dataclass

from django.contrib import messages
from django.db.models import Exists, OuterRef
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.models import Role
from dashboard.forms.experiments import KEEP, ChoosePromptForm, ConcludeForm, ExperimentForm
from dashboard.views.access import AccountRequest, account_page, get_experiment, get_prompt
from dashboard.views.asking import Question, ask
from dashboard.views.experiments import is_id
from metrics.experiments.operations import conclude_experiment, look_at_experiment
from metrics.models import ExperimentReading, Proposal
from prompts.errors import ExperimentError, PromptExists
from prompts.experiments.operations import (
    create_experiment,
    delete_experiment,
    pause_experiment,
    resume_experiment,
    rule_from,
    start_experiment,
)
from prompts.experiments.querysets import variants_of
from prompts.models import AbTest, AbTestStatus, AbVariant, Prompt, PromptVersion
from prompts.querysets import prompts_of, versions_of

PROMPTS_OFFERED = 200


@account_page("GET", "POST", role=Role.MEMBER)
def experiment_new(request: AccountRequest) -> HttpResponse:
    """First which prompt (`prompt` in the address), then everything else."""
    prompt_id = request.GET.get("prompt", "")
    if not prompt_id:
        return _choose_prompt(request)
    if not is_id(prompt_id):
        raise Http404
    prompt = get_prompt(request, int(prompt_id))
    versions = list(versions_of(prompt))
    if len(versions) < 2:
        messages.error(request, "An experiment compares two versions, and this prompt has one. Write another first.")
        return redirect("prompt", request.account.slug, prompt.pk)
    form = ExperimentForm(prompt, versions, request.POST if request.method == "POST" else None)
    if request.method == "POST" and form.is_valid() and (test := _create(request, prompt, form)) is not None:
        messages.success(request, "The draft is saved. Nothing runs by it until an admin starts it.")
        return redirect("experiment", request.account.slug, test.pk)
    context = {"form": form, "prompt": prompt}
    return render(request, "dashboard/experiments/new.html", context, status=422 if form.errors else 200)


def _choose_prompt(request: AccountRequest) -> HttpResponse:
    # Whether there is a second one, which an index says, instead of how many there are.
    second = PromptVersion.objects.filter(prompt=OuterRef("pk")).order_by("version")[1:2]
    named = prompts_of(request.account.pk).select_related(None).only("name", "slug")
    choices = named.filter(Exists(second))[:PROMPTS_OFFERED]
    context = {"form": ChoosePromptForm(choices), "prompts": choices, "limit": PROMPTS_OFFERED}
    return render(request, "dashboard/experiments/choose.html", context)


def _create(request: AccountRequest, prompt: Prompt, form: ExperimentForm) -> AbTest | None:
    """The draft; None with the reason on the form when there is none."""
    data = form.cleaned_data
    try:
        return create_experiment(
            account_id=request.account.pk,
            prompt=prompt,
            name=data["name"],
            hypothesis=data["hypothesis"],
            control=form.control(),
            treatments=form.treatments(),
            metric=data["metric"],
            metric_cap=data["metric_cap"],
            shares=form.shares(),
            rule=rule_from(form.rule()),
            actor=request.user,
        )
    except ExperimentError as error:
        form.add_error(None, str(error))
        return None


@account_page("POST", role=Role.MEMBER)
def experiment_look(request: AccountRequest, experiment_id: int) -> HttpResponse:
    """Paid looks by itself once a minute; this is for who does not want to wait."""
    test = get_experiment(request, experiment_id)
    if test.status in (AbTestStatus.DRAFT, AbTestStatus.COMPLETED):
        messages.error(request, "It does not run, so there is nothing new to see.")
    else:
        look_at_experiment(test=test)
        messages.success(request, "The figures are as of now. Looking does not make them less true.")
    return redirect(_page_of(request, test))


@dataclass(frozen=True)
class Step:
    """A step in an experiment's life: what is asked before, what is done, and what is said after."""

    title: str
    text: str
    button: str
    done: str
    operation: Callable[..., None]


START = Step(
    "Start this experiment?",
    "New issues are shared out among its versions from now on. Its metric, variants, shares and rule are fixed then, "
    "so that the figures stay honest. You can pause or end it at any time.",
    "Start",
    "It runs. Each new issue falls into a variant and stays there.",
    start_experiment,
)
PAUSE = Step(
    "Pause this experiment?",
    "New issues get the version in use. Issues that fell into a variant already keep counting.",
    "Pause",
    "It rests: new issues get the version in use.",
    pause_experiment,
)
RESUME = Step(
    "Resume this experiment?",
    "New issues are shared out among its versions again. If Paid paused it because a guardrail or the split was "
    "broken, it will do so again at the next look.",
    "Resume",
    "It runs again.",
    resume_experiment,
)


@account_page("GET", "POST", role=Role.ADMIN)
def experiment_start(request: AccountRequest, experiment_id: int) -> HttpResponse:
    return _take(request, get_experiment(request, experiment_id), START)


@account_page("GET", "POST", role=Role.MEMBER)
def experiment_pause(request: AccountRequest, experiment_id: int) -> HttpResponse:
    return _take(request, get_experiment(request, experiment_id), PAUSE)


@account_page("GET", "POST", role=Role.ADMIN)
def experiment_resume(request: AccountRequest, experiment_id: int) -> HttpResponse:
    return _take(request, get_experiment(request, experiment_id), RESUME)


def _take(request: AccountRequest, test: AbTest, step: Step) -> HttpResponse:
    if request.method != "POST":
        question = Question(step.title, step.text, step.button, _page_of(request, test), request.path, False)
        return ask(request, question)
    try:
        step.operation(test=test, actor=request.user)
    except ExperimentError as error:
        messages.error(request, str(error))
    else:
        messages.success(request, step.done)
    return redirect(_page_of(request, test))


@account_page("GET", "POST", role=Role.ADMIN)
def experiment_conclude(request: AccountRequest, experiment_id: int) -> HttpResponse:
    test = get_experiment(request, experiment_id)
    variants = list(variants_of(test))
    kept = ExperimentReading.objects.filter(ab_test=test, account=request.account).first()
    if request.method == "POST":
        form = ConcludeForm(variants, test.prompt.current_version, request.POST)
        if form.is_valid():
            _conclude(request, test, variants, form)
            return redirect(_page_of(request, test))
    else:
        form = ConcludeForm(variants, test.prompt.current_version, initial={"winner": _proposed(kept)})
    question = Question(
        title="End this experiment?",
        text=f"{_said(kept)} What you choose is in use for every issue from then on"
        f"{_as_own(request, test)}. This cannot be undone; a version can be rolled back at its prompt.",
        button="End it",
        back=_page_of(request, test),
        action=request.path,
        is_destructive=False,
    )
    return ask(request, question, form)


def _conclude(request: AccountRequest, test: AbTest, variants: list[AbVariant], form: ConcludeForm) -> None:
    chosen = form.cleaned_data["winner"]
    winner = next((variant for variant in variants if str(variant.pk) == chosen), None)
    try:
        conclude_experiment(test=test, winner=winner, actor=request.user, reason=form.cleaned_data["reason"])
    except (ExperimentError, PromptExists) as error:
        messages.error(request, str(error))
    else:
        messages.success(
            request, f"“{winner.name}” is in use now." if winner else "It has ended. What was in use stays in use."
        )


def _proposed(kept: ExperimentReading | None) -> str:
    return str(kept.proposed_variant_id) if kept and kept.proposal == Proposal.PROMOTE else KEEP


def _said(kept: ExperimentReading | None) -> str:
    if kept is None:
        return "Paid has not looked at it yet, so the choice is yours alone."
    if kept.proposal == Proposal.WAIT:
        return f"The rule has not decided: {kept.reason} You may decide all the same."
    return f"The rule says: {kept.reason}"


def _as_own(request: AccountRequest, test: AbTest) -> str:
    if test.prompt_account_id == request.account.pk:
        return ""
    return ", as a prompt of your own over the global one"


@account_page("GET", "POST", role=Role.MEMBER)
def experiment_delete(request: AccountRequest, experiment_id: int) -> HttpResponse:
    test = get_experiment(request, experiment_id)
    if request.method == "POST":
        try:
            delete_experiment(test=test, actor=request.user)
        except ExperimentError:
            messages.error(request, "It has begun, so it is history and stays. You can end it instead.")
            return redirect(_page_of(request, test))
        messages.success(request, f"The draft “{test.name}” is deleted.")
        return redirect("experiments", request.account.slug)
    question = Question(
        title="Delete this draft?",
        text="It never ran, so nothing is lost but its settings.",
        button="Delete",
        back=_page_of(request, test),
        action=request.path,
    )
    return ask(request, question)


def _page_of(request: AccountRequest, test: AbTest) -> str:
    return reverse("experiment", args=[request.account.slug, test.pk])
