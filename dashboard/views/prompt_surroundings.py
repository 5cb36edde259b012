"""What else decides about a run beside its prompt: style guides, and the registry of models."""

from django.http import HttpResponse
from django.shortcuts import render

from dashboard.views.access import AccountRequest, account_page
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID
from projects.models import Project
from prompts.errors import NoModelAvailable
from prompts.models import LanguageModel, ModelPreference, PromptCategory, StyleGuide
from prompts.querysets import prices_now, style_guides_for
from prompts.selection import select_model

PROJECTS_OFFERED = 200


@account_page()
def style_guides(request: AccountRequest) -> HttpResponse:
    """All that the account may use; with a project, which of them its agents are told."""
    projects, project = _projects(request)
    guides = StyleGuide.objects.filter(account_id__in=(GLOBAL_ACCOUNT_ID, request.account.pk))
    context = {
        "projects": projects,
        "project": project,
        "guides": list(guides.select_related("project").order_by("project__name", "-account_id", "language", "name")),
        "winner": style_guides_for(project).first() if project else None,
    }
    return render(request, "dashboard/prompts/style_guides.html", context)


@account_page()
def language_models(request: AccountRequest) -> HttpResponse:
    """The registry with today's prices, the preferences, and which model a project's next run would get, and why."""
    projects, project = _projects(request)
    models = LanguageModel.objects.filter(account_id__in=(GLOBAL_ACCOUNT_ID, request.account.pk))
    listed = list(models.order_by("provider", "model_id", "-account_id"))
    prices: dict[int, dict[str, str]] = {}
    for price in prices_now([model.pk for model in listed]):
        prices.setdefault(price.language_model_id, {})[price.token_class] = f"{price.usd_per_million.normalize():f}"
    preferences = ModelPreference.objects.filter(account_id__in=(GLOBAL_ACCOUNT_ID, request.account.pk))
    category = request.GET.get("category", "")
    category = category if category in PromptCategory.values else PromptCategory.CODING.value
    context: dict[str, object] = {
        "projects": projects,
        "project": project,
        "categories": PromptCategory.choices,
        "category": category,
        "models": [(model, prices.get(model.pk, {})) for model in listed],
        "preferences": list(
            preferences.select_related("project", "language_model").order_by("-account_id", "category", "position")
        ),
    }
    if project is not None:
        try:
            context["selection"] = select_model(account=request.account, project=project, category=category)
        except NoModelAvailable as error:
            context["refusal"] = str(error)
    return render(request, "dashboard/prompts/models.html", context)


def _projects(request: AccountRequest) -> tuple[list[Project], Project | None]:
    """Those to choose from, and the chosen one: the first unless the address says otherwise."""
    projects = list(Project.objects.filter(account=request.account).order_by("name", "pk")[:PROJECTS_OFFERED])
    wanted = request.GET.get("project", "")
    return projects, next((each for each in projects if str(each.pk) == wanted), next(iter(projects), None))
