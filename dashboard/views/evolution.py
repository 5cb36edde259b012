"""Evolution of a prompt: what is allowed, what was learnt, and proposals that wait for a person."""

from dataclasses import dataclass
from decimal import Decimal

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.models import Role
from dashboard.forms.evolution import PolicyForm
from dashboard.side_by_side import Row, compare
from dashboard.views.access import AccountRequest, account_page, get_prompt, may
from dashboard.views.asking import FormPage, Question, ask, form_page
from dashboard.views.prompts import is_own
from metrics.errors import EvolutionDecided, NoSuchProposal
from metrics.evolution.operations import candidates_of, set_policy, spent_usd
from metrics.models import OPEN_EVOLUTIONS, Candidate, Evolution, EvolutionPolicy, EvolutionStatus
from prompts.errors import ExperimentError, PromptError
from prompts.models import Prompt
from workflows.operations.evolution import approve_proposals, refuse_proposals

CYCLES_SHOWN = 20


@dataclass(frozen=True)
class ShownProposal:
    """A candidate beside its parent. `position` is what a person chooses it by."""

    position: int
    candidate: Candidate
    template_rows: list[Row]
    system_rows: list[Row]

    @property
    def number(self) -> int:
        return self.position + 1


@dataclass(frozen=True)
class ShownCycle:
    evolution: Evolution
    proposals: tuple[ShownProposal, ...]
    spent_usd: Decimal


@account_page()
def prompt_evolution(request: AccountRequest, prompt_id: int) -> HttpResponse:
    return _page(request, get_prompt(request, prompt_id))


@account_page("GET", "POST", role=Role.ADMIN)
def prompt_evolution_policy(request: AccountRequest, prompt_id: int) -> HttpResponse:
    prompt = _own_prompt(request, prompt_id)
    policy = EvolutionPolicy.objects.filter(prompt=prompt).first() or EvolutionPolicy(prompt=prompt)
    form = PolicyForm(request.POST) if request.method == "POST" else PolicyForm.of(policy)
    if form.is_bound and form.is_valid():
        saved = set_policy(prompt=prompt, terms=form.terms(), actor=request.user)
        said = "Evolution is on: Paid looks at this prompt's runs now." if saved.is_on else "Evolution is off."
        messages.success(request, said)
        return redirect("prompt_evolution", request.account.slug, prompt_id)
    page = FormPage(
        title="How this prompt may evolve",
        button="Save",
        back=reverse("prompt_evolution", args=[request.account.slug, prompt_id]),
        back_label="Evolution",
        text=f"{prompt.name} ({prompt.slug}). A cycle that is open keeps the terms it was started with.",
    )
    return form_page(request, page, form)


@account_page("POST", role=Role.ADMIN)
def prompt_evolution_try(request: AccountRequest, prompt_id: int) -> HttpResponse:
    prompt = _own_prompt(request, prompt_id)
    chosen = [int(entry) for entry in request.POST.getlist("proposal") if entry.isdecimal() and len(entry) < 3]
    try:
        test = approve_proposals(evolution=_waiting(prompt), chosen=chosen, actor=request.user)
    except (EvolutionDecided, NoSuchProposal, ExperimentError, PromptError) as error:
        messages.error(request, str(error))
        return redirect("prompt_evolution", request.account.slug, prompt_id)
    messages.success(request, "The proposals are saved as versions, and the experiment runs.")
    return redirect("experiment", request.account.slug, test.pk)


@account_page("GET", "POST", role=Role.ADMIN)
def prompt_evolution_reject(request: AccountRequest, prompt_id: int) -> HttpResponse:
    prompt = _own_prompt(request, prompt_id)
    evolution = _waiting(prompt)
    back = reverse("prompt_evolution", args=[request.account.slug, prompt_id])
    if request.method == "POST":
        try:
            refuse_proposals(evolution=evolution, actor=request.user)
            messages.success(request, "The proposals are rejected. The next look is taken as the policy says.")
        except EvolutionDecided as error:
            messages.error(request, str(error))
        return redirect(back)
    question = Question(
        title="Reject all proposals?",
        text="None of them is tried. They stay readable here, and the prompt stays as it is.",
        button="Reject all",
        back=back,
        action=request.path,
    )
    return ask(request, question)


def _page(request: AccountRequest, prompt: Prompt) -> HttpResponse:
    cycles = list(
        Evolution.objects.filter(account=request.account, prompt=prompt)
        .select_related("parent_version", "decided_by", "ab_test", "consultation__language_model")
        .order_by("-pk")[:CYCLES_SHOWN]
    )
    current = next((cycle for cycle in cycles if cycle.status in OPEN_EVOLUTIONS), None)
    shown = current or next(iter(cycles), None)
    context = {
        "prompt": prompt,
        "is_own": is_own(request, prompt),
        "policy": EvolutionPolicy.objects.filter(account=request.account, prompt=prompt).first(),
        "cycle": None if shown is None else _shown(shown),
        "earlier": [cycle for cycle in cycles if cycle is not shown],
        "may_decide": is_own(request, prompt) and may(request, Role.ADMIN),
        "is_waiting": shown is not None and shown.status == EvolutionStatus.PROPOSED,
    }
    return render(request, "dashboard/prompts/evolution.html", context)


def _shown(evolution: Evolution) -> ShownCycle:
    parent = evolution.parent_version
    proposals = tuple(
        ShownProposal(
            position,
            candidate,
            compare(parent.template, candidate.template),
            compare(parent.system_prompt, candidate.system_prompt)
            if parent.system_prompt != candidate.system_prompt
            else [],
        )
        for position, candidate in enumerate(candidates_of(evolution))
    )
    return ShownCycle(evolution, proposals, spent_usd(evolution))


def _own_prompt(request: AccountRequest, prompt_id: int) -> Prompt:
    prompt = get_prompt(request, prompt_id)
    if not is_own(request, prompt):
        raise Http404
    return prompt


def _waiting(prompt: Prompt) -> Evolution:
    """The cycle that waits for a decision; the last one, which says that it was decided, when none does."""
    cycles = Evolution.objects.filter(account_id=prompt.account_id, prompt=prompt).select_related("parent_version")
    found = cycles.filter(status=EvolutionStatus.PROPOSED).first() or cycles.order_by("-pk").first()
    if found is None:
        raise Http404
    return found
