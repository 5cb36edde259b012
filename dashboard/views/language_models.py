"""The registry of models with today's prices, the preferences, and which model a run would get and why."""

from collections.abc import Iterable
from dataclasses import dataclass
from itertools import groupby
from urllib.parse import urlencode

from django.contrib import messages
from django.http import HttpResponse, HttpResponseBadRequest
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.models import Role
from dashboard.forms.language_models import PreferenceForm
from dashboard.views.access import AccountRequest, account_page, may
from dashboard.views.asking import Question, ask
from dashboard.views.project_choice import chosen_project
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID
from prompts.errors import NoModelAvailable, PreferenceExists, PreferenceForeignModel, PreferenceTarget
from prompts.models import LanguageModel, ModelPreference, PromptCategory, Stance
from prompts.preference_operations import add_preference, move_preference, remove_preference
from prompts.querysets import prices_now
from prompts.selection import select_model


@account_page()
def language_models(request: AccountRequest) -> HttpResponse:
    return _page(request, None)


@account_page("POST", role=Role.ADMIN)
def preference_add(request: AccountRequest) -> HttpResponse:
    form = PreferenceForm(request.account, _registry(request), request.POST)
    if form.is_valid():
        try:
            preference = add_preference(account_id=request.account.pk, terms=form.terms(), actor=request.user)
        except (PreferenceExists, PreferenceTarget, PreferenceForeignModel) as error:
            form.add_error("target", str(error))
    if form.errors:
        messages.error(request, "The preference is not added: see its form below.")
        return _page(request, form)
    messages.success(request, "The preference is added. Above is what the next run gets by it.")
    return redirect(_where_it_counts(request, preference))


@account_page("POST", role=Role.ADMIN)
def preference_move(request: AccountRequest, preference_id: int) -> HttpResponse:
    preference = get_object_or_404(ModelPreference, account=request.account, pk=preference_id)
    direction = request.POST.get("direction", "")
    if direction == "up":
        move_preference(preference=preference, direction="up", actor=request.user)
    elif direction == "down":
        move_preference(preference=preference, direction="down", actor=request.user)
    else:
        return HttpResponseBadRequest("Say whether it moves up or down.")
    return redirect(_where_it_counts(request, preference))


@account_page("GET", "POST", role=Role.ADMIN)
def preference_remove(request: AccountRequest, preference_id: int) -> HttpResponse:
    preferences = ModelPreference.objects.select_related("language_model", "project")
    preference = get_object_or_404(preferences, account=request.account, pk=preference_id)
    back = _where_it_counts(request, preference)
    if request.method == "POST":
        remove_preference(preference=preference, actor=request.user)
        messages.success(request, "The preference is removed. Above is what the next run gets without it.")
        return redirect(back)
    about = preference.language_model.model_id if preference.language_model else preference.provider
    place = f"in {preference.project.name}" if preference.project else "for the whole account"
    question = Question(
        title="Remove this preference?",
        text=f"“{preference.get_stance_display()} {about}” {place} no longer counts for runs that start from now on.",
        button="Remove",
        back=back,
        action=request.path,
    )
    return ask(request, question)


@dataclass(frozen=True)
class PreferenceRow:
    """Whether it can change places: only between those that prefer in the same place does the order decide."""

    preference: ModelPreference
    is_own: bool
    may_move_up: bool
    may_move_down: bool


def _rows(preferences: Iterable[ModelPreference], account_id: int) -> list[PreferenceRow]:
    rows = []
    for (owner_id, *_, stance), found in groupby(
        preferences, key=lambda each: (each.account_id, each.project_id, each.category, each.stance)
    ):
        group = list(found)
        is_own = owner_id == account_id
        is_ordered = is_own and stance == Stance.PREFER
        rows += [
            PreferenceRow(each, is_own, is_ordered and place > 0, is_ordered and place < len(group) - 1)
            for place, each in enumerate(group)
        ]
    return rows


def _registry(request: AccountRequest) -> list[LanguageModel]:
    """The host's models and the account's, without those of the host whose place a row of the account takes."""
    models = LanguageModel.objects.filter(account_id__in=(GLOBAL_ACCOUNT_ID, request.account.pk))
    nearest = {(model.provider, model.model_id): model for model in models.order_by("account_id")}
    return sorted(nearest.values(), key=lambda model: (model.provider, model.model_id))


def _page(request: AccountRequest, form: PreferenceForm | None) -> HttpResponse:
    projects, project = chosen_project(request)
    registry = _registry(request)
    prices: dict[int, dict[str, str]] = {}
    for price in prices_now([model.pk for model in registry]):
        prices.setdefault(price.language_model_id, {})[price.token_class] = f"{price.usd_per_million.normalize():f}"
    category = request.GET.get("category", "")
    category = category if category in PromptCategory.values else PromptCategory.CODING.value
    preferences = ModelPreference.objects.filter(account_id__in=(GLOBAL_ACCOUNT_ID, request.account.pk))
    nearest_first = preferences.select_related("project", "language_model").order_by(
        "project__name", "project_id", "-account_id", "-category", "stance", "position", "pk"
    )
    context: dict[str, object] = {
        "projects": projects,
        "project": project,
        "categories": PromptCategory.choices,
        "category": category,
        "models": [(model, prices.get(model.pk, {})) for model in registry],
        "rows": _rows(nearest_first, request.account.pk),
        "may_change": may(request, Role.ADMIN),
        "form": form or PreferenceForm(request.account, registry),
    }
    if project is not None:
        try:
            selection = select_model(account=request.account, project=project, category=category)
            context["selection"] = selection
            context["usable"] = [candidate for candidate in selection.candidates if candidate.is_usable]
            context["unusable"] = [candidate for candidate in selection.candidates if not candidate.is_usable]
        except NoModelAvailable as error:
            context["refusal"] = str(error)
    status = 422 if form is not None and form.errors else 200
    return render(request, "dashboard/prompts/models.html", context, status=status)


def _where_it_counts(request: AccountRequest, preference: ModelPreference) -> str:
    """The page as it shows what the preference does: its project, and its kind of task."""
    asked = {"project": preference.project_id, "category": preference.category}
    query = urlencode({name: value for name, value in asked.items() if value})
    address = reverse("language_models", args=[request.account.slug])
    return f"{address}?{query}" if query else address
