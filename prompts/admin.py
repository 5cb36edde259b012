"""Prompts with their versions, models with their prices. Everything is saved by the operations that pages use."""

from typing import Any, ClassVar

from django.contrib import admin, messages
from django.contrib.postgres.search import SearchQuery, SearchVector
from django.db.models import Q, QuerySet
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin_base import AuditedAdmin, ReadOnlyAdmin, actor_of
from prompts.admin_forms import LabelForm, PreferenceForm, PriceForm, PromptForm, StyleGuideForm
from prompts.errors import NoEarlierVersion, StyleGuideChanged, StyleGuideExists
from prompts.experiments.admin import AbTestAdmin
from prompts.labels import move_label, remove_label
from prompts.lineage import compare, lineage_of
from prompts.model_operations import start_price
from prompts.models import (
    AbTest,
    LanguageModel,
    ModelPreference,
    ModelPrice,
    Prompt,
    PromptLabel,
    PromptVersion,
    StyleGuide,
)
from prompts.operations import (
    PromptText,
    create_prompt,
    describe_prompt,
    promote,
    roll_back,
    save_version,
    withdraw,
)
from prompts.preference_operations import Terms, add_preference, change_preference, remove_preference
from prompts.style_guide_operations import GuideText, change_style_guide, create_style_guide, remove_style_guide


@admin.register(Prompt)
class PromptAdmin(admin.ModelAdmin):
    """Saving a changed text adds a version; versions themselves are never edited."""

    form = PromptForm
    list_display = ("slug", "name", "scope", "account", "project", "category", "current", "updated_at")
    list_filter = ("scope", "category")
    search_fields = ("slug", "name")
    search_help_text = "Slug, name, or words of any version's text"
    list_select_related = ("account", "project", "current_version")
    show_full_result_count = False
    autocomplete_fields = ("account", "project")
    actions = ("roll_back_selected", "withdraw_selected")
    change_form_template = "admin/prompts/prompt_change_form.html"

    class Media:
        css: ClassVar = {"all": ["prompts/admin.css"]}

    @admin.display(description="Current version")
    def current(self, prompt: Prompt) -> str:
        return f"v{prompt.current_version.version}" if prompt.current_version else "withdrawn"

    def get_fieldsets(self, request: HttpRequest, obj: Prompt | None = None) -> Any:
        place = ("account", "project", "slug") if obj is None else ("account", "project", "scope", "slug", "current")
        text = ("template", "system_prompt", "change_notes") + (() if obj is None else ("based_on",))
        return (
            (None, {"fields": (*place, "name", "category", "description")}),
            ("Text", {"fields": text, "description": self.form.variables_help()}),
        )

    def get_readonly_fields(self, request: HttpRequest, obj: Prompt | None = None) -> tuple[str, ...]:
        return ("account", "project", "scope", "slug", "current") if obj else ()

    def get_search_results(
        self, request: HttpRequest, queryset: QuerySet[Prompt], search_term: str
    ) -> tuple[QuerySet[Prompt], bool]:
        found, may_repeat = super().get_search_results(request, queryset, search_term)
        if not search_term.strip():
            return found, may_repeat
        # The vector is the index's own expression, so the index answers.
        by_text = PromptVersion.objects.annotate(words=SearchVector("template", config="english")).filter(
            words=SearchQuery(search_term, config="english", search_type="websearch")
        )
        own = Q(slug__icontains=search_term) | Q(name__icontains=search_term)
        return queryset.filter(own | Q(pk__in=by_text.values("prompt_id"))), may_repeat

    def save_model(self, request: HttpRequest, obj: Prompt, form: Any, change: bool) -> None:
        data, actor = form.cleaned_data, actor_of(request)
        text = PromptText(data["template"], data["system_prompt"])
        if not change:
            version = create_prompt(
                account_id=data["account"].pk,
                project=data["project"],
                slug=data["slug"],
                name=data["name"],
                category=data["category"],
                description=data["description"],
                text=text,
                change_notes=data["change_notes"],
                actor=actor,
            )
            obj.pk = version.prompt_id
            return
        if {"name", "category", "description"} & set(form.changed_data):
            describe_prompt(
                prompt=obj,
                name=data["name"],
                category=data["category"],
                description=data["description"],
                actor=actor,
            )
        if form.has_new_text:
            self._save_version(request, obj, form, text)

    def _save_version(self, request: HttpRequest, prompt: Prompt, form: Any, text: PromptText) -> None:
        saved = save_version(
            prompt=prompt,
            text=text,
            actor=actor_of(request),
            expected_parent=form.parent,
            change_notes=form.cleaned_data["change_notes"],
        )
        if saved.is_current:
            self.message_user(request, f"Version {saved.version.version} is saved and current.")
            return
        between = " and ".join(f"version {version.version} by {version.author}" for version in saved.newer)
        self.message_user(
            request,
            f"Your text is saved as version {saved.version.version}, but is not current: {between} is, meanwhile. "
            "Compare the two below, then promote yours or save a joined text.",
            messages.WARNING,
        )

    def get_urls(self) -> list[URLPattern]:
        view = self.admin_site.admin_view
        return [
            path("<int:prompt_id>/compare/", view(self.compare_view), name="prompts_prompt_compare"),
            path("<int:prompt_id>/promote/<int:version_id>/", view(self.promote_view), name="prompts_prompt_promote"),
            *super().get_urls(),
        ]

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        prompt = Prompt.objects.filter(pk=object_id).first() if object_id.isdecimal() else None
        lineage = lineage_of(prompt) if prompt else ()
        return super().change_view(request, object_id, form_url, {**(extra_context or {}), "lineage": lineage})

    def compare_view(self, request: HttpRequest, prompt_id: int) -> HttpResponse:
        """Two versions side by side: `?left=` and `?right=` are version numbers."""
        prompt = get_object_or_404(Prompt, pk=prompt_id)
        versions = PromptVersion.objects.filter(prompt=prompt).order_by("version")
        left, right = (
            get_object_or_404(versions, version=number) if (number := request.GET.get(side, "")).isdecimal() else None
            for side in ("left", "right")
        )
        right = right or prompt.current_version or versions.last()
        left = left or (right.parent_version if right else None) or versions.first()
        context = {
            **self.admin_site.each_context(request),
            "title": f"Compare versions of {prompt.slug}",
            "opts": self.opts,
            "prompt": prompt,
            "versions": versions,
            "left": left,
            "right": right,
            "parts": compare(left, right) if left and right else (),
            "media": self.media,
        }
        return TemplateResponse(request, "admin/prompts/compare.html", context)

    def promote_view(self, request: HttpRequest, prompt_id: int, version_id: int) -> HttpResponse:
        prompt = get_object_or_404(Prompt, pk=prompt_id)
        version = get_object_or_404(PromptVersion, pk=version_id, prompt=prompt)
        if request.method == "POST":
            promote(prompt=prompt, version=version, actor=actor_of(request))
            self.message_user(request, f"Version {version.version} is current.")
        return HttpResponseRedirect(reverse("admin:prompts_prompt_change", args=[prompt.pk]))

    @admin.action(description="Roll back to the version that was current before")
    def roll_back_selected(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> None:
        for prompt in queryset.order_by("pk"):
            try:
                version = roll_back(prompt=prompt, actor=actor_of(request))
            except NoEarlierVersion as error:
                self.message_user(request, f"{prompt.slug}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"{prompt.slug}: version {version.version} is current again.")

    @admin.action(description="Withdraw: let the prompt of the wider scope count")
    def withdraw_selected(self, request: HttpRequest, queryset: QuerySet[Prompt]) -> None:
        for prompt in queryset.order_by("pk"):
            withdraw(prompt=prompt, actor=actor_of(request))
            self.message_user(request, f"{prompt.slug} is withdrawn. Promote a version to bring it back.")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # runs point to its versions: it is withdrawn instead


@admin.register(PromptVersion)
class PromptVersionAdmin(ReadOnlyAdmin):
    list_display = ("prompt", "version", "author", "change_notes", "created_at", "comparison")
    search_fields = ("prompt__slug", "author", "change_notes")
    list_select_related = ("prompt",)

    @admin.display(description="Compare")
    def comparison(self, version: PromptVersion) -> SafeString:
        url = reverse("admin:prompts_prompt_compare", args=[version.prompt_id])
        return format_html('<a href="{}?right={}">with its parent</a>', url, version.version)


@admin.register(PromptLabel)
class PromptLabelAdmin(admin.ModelAdmin):
    """Labels of every account's prompts, the global ones' too. Saving moves a label by the pages' operation."""

    form = LabelForm
    fields = ("name", "prompt_version")
    raw_id_fields = ("prompt_version",)
    list_display = ("name", "prompt", "account", "version", "moved_by", "updated_at")
    list_select_related = ("prompt", "account", "prompt_version")
    search_fields = ("name", "prompt__slug")
    show_full_result_count = False
    actions = None

    @admin.display(description="Version")
    def version(self, label: PromptLabel) -> str:
        return f"v{label.prompt_version.version}"

    def get_readonly_fields(self, request: HttpRequest, obj: PromptLabel | None = None) -> tuple[str, ...]:
        return ("name",) if obj else ()

    def save_model(self, request: HttpRequest, obj: PromptLabel, form: Any, change: bool) -> None:
        version = obj.prompt_version
        moved = move_label(prompt=version.prompt, name=obj.name, version=version, actor=actor_of(request))
        obj.pk, obj.prompt_id, obj.account_id = moved.pk, moved.prompt_id, moved.account_id

    def delete_model(self, request: HttpRequest, obj: PromptLabel) -> None:
        remove_label(label=obj, actor=actor_of(request))


class ModelPriceInline(admin.TabularInline):
    model = ModelPrice
    form = PriceForm
    extra = 1
    fields = ("token_class", "threshold_tokens", "usd_per_million", "starts_at", "source")
    readonly_fields = ("source",)
    ordering = ("token_class", "threshold_tokens", "-starts_at")
    verbose_name_plural = "Prices, never changed: a new one starts"

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


@admin.register(LanguageModel)
class LanguageModelAdmin(AuditedAdmin):
    list_display = ("__str__", "name", "account", "context_window", "is_scripted", "is_active")
    list_filter = ("provider", "is_active", "is_scripted")
    search_fields = ("provider", "model_id", "name")
    list_select_related = ("account",)
    autocomplete_fields = ("account",)
    inlines: ClassVar = [ModelPriceInline]

    class Media:
        css: ClassVar = {"all": ["prompts/admin.css"]}

    def save_formset(self, request: HttpRequest, form: Any, formset: Any, change: bool) -> None:
        formset.save(commit=False)
        for price in formset.new_objects:
            start_price(
                language_model=form.instance,
                token_class=price.token_class,
                threshold_tokens=price.threshold_tokens,
                usd_per_million=price.usd_per_million,
                starts_at=price.starts_at,
                actor=actor_of(request),
            )

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("account", "provider", "model_id") if obj else ()

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # runs point to it: it is switched off instead


@admin.register(ModelPreference)
class ModelPreferenceAdmin(AuditedAdmin):
    fields = ("account", "project", "category", "stance", "provider", "language_model", "position")
    list_display = ("account", "project", "category", "stance", "provider", "language_model", "position")
    list_filter = ("stance", "category")
    search_fields = ("account__name", "project__name", "provider", "language_model__model_id")
    list_select_related = ("account", "project", "language_model")
    autocomplete_fields = ("account", "project", "language_model")

    form = PreferenceForm

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("account",) if obj else ()

    def save_model(self, request: HttpRequest, obj: ModelPreference, form: Any, change: bool) -> None:
        terms = Terms(obj.stance, obj.provider, obj.language_model, obj.project, obj.category, obj.position)
        if change:
            change_preference(preference=obj, terms=terms, actor=actor_of(request))
        else:
            obj.pk = add_preference(account_id=obj.account_id, terms=terms, actor=actor_of(request)).pk

    def delete_model(self, request: HttpRequest, obj: ModelPreference) -> None:
        remove_preference(preference=obj, actor=actor_of(request))


@admin.register(StyleGuide)
class StyleGuideAdmin(AuditedAdmin):
    form = StyleGuideForm
    fields = ("account", "project", "name", "language", "raw_text", "compressed_text", "opened_at")
    list_display = ("name", "account", "project", "language", "updated_at")
    list_filter = ("language",)
    search_fields = ("name", "account__name", "project__name")
    list_select_related = ("account", "project")
    autocomplete_fields = ("account", "project")

    def get_readonly_fields(self, request: HttpRequest, obj: Any = None) -> tuple[str, ...]:
        return ("account",) if obj else ()

    def changeform_view(
        self,
        request: HttpRequest,
        object_id: str | None = None,
        form_url: str = "",
        extra_context: dict[str, Any] | None = None,
    ) -> HttpResponse:
        """What somebody else saves between the form's check and the row's lock is found by the form asked again."""
        try:
            return self._answer(request, object_id, form_url, extra_context)
        except (StyleGuideChanged, StyleGuideExists, StyleGuide.DoesNotExist):
            return self._answer(request, object_id, form_url, extra_context)

    def _answer(
        self, request: HttpRequest, object_id: str | None, form_url: str, extra_context: dict[str, Any] | None
    ) -> HttpResponse:
        if request.method == "POST" and object_id is not None and self.get_object(request, object_id) is None:
            # A new one with the text that was sent. It asks for the account, which the form of the removed one had not.
            if "account" not in request.POST:
                told = "This style guide was removed meanwhile. Your text is below: choose its account to save it anew."
                self.message_user(request, told, messages.WARNING)
            object_id = None
        return super().changeform_view(request, object_id, form_url, extra_context)

    def save_model(self, request: HttpRequest, obj: StyleGuide, form: Any, change: bool) -> None:
        text = GuideText(obj.name, obj.raw_text, obj.compressed_text, obj.language, obj.project)
        if not change:
            obj.pk = create_style_guide(account_id=obj.account_id, text=text, actor=actor_of(request)).pk
            return
        change_style_guide(
            guide=obj, text=text, actor=actor_of(request), expected_updated_at=form.cleaned_data["opened_at"]
        )

    def delete_model(self, request: HttpRequest, obj: StyleGuide) -> None:
        remove_style_guide(guide=obj, actor=actor_of(request))


admin.site.register(AbTest, AbTestAdmin)
