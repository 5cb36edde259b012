"""Reads on prompts, models and style guides."""

from collections.abc import Collection

from django.db import connection
from django.db.models import DecimalField, F, OuterRef, Q, QuerySet, Subquery
from django.db.models.functions import Now

from paid.lib.tenancy import GLOBAL_ACCOUNT_ID
from projects.models import Project
from prompts.models import (
    LanguageModel,
    ModelPreference,
    ModelPrice,
    Prompt,
    PromptCategory,
    PromptVersion,
    StyleGuide,
    TokenClass,
)


def prompts_of(account_id: int) -> QuerySet[Prompt]:
    """The account's prompts and the global ones, by slug, the nearest scope first."""
    return (
        Prompt.objects.filter(account_id__in=(GLOBAL_ACCOUNT_ID, account_id))
        .select_related("current_version", "project")
        .order_by("slug", F("project_id").asc(nulls_last=True), "-account_id")
    )


def versions_of(prompt: Prompt) -> QuerySet[PromptVersion]:
    """Newest first, with author and parent."""
    return (
        PromptVersion.objects.filter(account_id=prompt.account_id, prompt=prompt)
        .select_related("created_by", "parent_version")
        .order_by("-version")
    )


def style_guides_for(project: Project) -> QuerySet[StyleGuide]:
    """Those that bear on the project, the one that wins first: the project's, the account's, the global one.

    In a scope one for the project's language comes before a general one.
    """
    language = str(project.settings.get("language", ""))
    return (
        StyleGuide.objects.filter(account_id__in=(GLOBAL_ACCOUNT_ID, project.account_id), language__in={"", language})
        .filter(_of_project_or_general(project.pk))
        .order_by(F("project_id").asc(nulls_last=True), "-account_id", "-language", "id")
    )


def style_guide_for(project: Project) -> str:
    """The guide that wins, in the short form that is sent, where there is one; empty without any guide."""
    guide = style_guides_for(project).first()
    return "" if guide is None else guide.compressed_text or guide.raw_text


def models_for(*, account_id: int, agent: str) -> list[LanguageModel]:
    """The active models that `agent` can use, each with its base price `usd_per_million_output` (None: unpriced).

    An account's own row takes the place of the global one for the same model.
    """
    price = (
        ModelPrice.objects.filter(
            language_model=OuterRef("pk"), token_class=TokenClass.OUTPUT, threshold_tokens=0, starts_at__lte=Now()
        )
        .order_by("-starts_at")
        .values("usd_per_million")[:1]
    )
    rows = (
        LanguageModel.objects.filter(
            account_id__in=(GLOBAL_ACCOUNT_ID, account_id), is_active=True, agents__contains=[agent]
        )
        .annotate(usd_per_million_output=Subquery(price, output_field=DecimalField(max_digits=12, decimal_places=6)))
        .order_by("account_id", "provider", "model_id")
    )
    return list({(row.provider, row.model_id): row for row in rows}.values())


def prices_now(model_ids: Collection[int]) -> QuerySet[ModelPrice]:
    """The base price of each kind of token that is in force now, of these models."""
    return (
        ModelPrice.objects.filter(language_model_id__in=model_ids, threshold_tokens=0, starts_at__lte=Now())
        .order_by("language_model_id", "token_class", "-starts_at")
        .distinct("language_model_id", "token_class")
    )


def preferences_for(*, account_id: int, project_id: int, category: PromptCategory | str) -> QuerySet[ModelPreference]:
    """The preferences that bear on this project and category, the nearest first: project, account, host."""
    return (
        ModelPreference.objects.filter(account_id__in=(GLOBAL_ACCOUNT_ID, account_id), category__in={"", str(category)})
        .filter(_of_project_or_general(project_id))
        .order_by(F("project_id").asc(nulls_last=True), "-account_id", "-category", "position", "id")
    )


def usable_providers() -> frozenset[str]:
    """Providers for which the context's account, or the host, has a key. The scripted one needs none."""
    with connection.cursor() as cursor:
        cursor.execute("SELECT provider FROM usable_providers()")
        return frozenset(row[0] for row in cursor.fetchall())


def _of_project_or_general(project_id: int) -> Q:
    return Q(project_id=project_id) | Q(project_id__isnull=True)
