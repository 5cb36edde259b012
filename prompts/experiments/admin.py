"""Experiments in the admin: a draft's words and weights, and the steps of their life by the pages' operations."""

from collections.abc import Callable
from typing import Any

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin_base import actor_of
from prompts.errors import ExperimentError
from prompts.experiments.operations import (
    change_draft,
    complete_experiment,
    delete_experiment,
    pause_experiment,
    resume_experiment,
    start_experiment,
)
from prompts.models import AbTest, AbTestStatus, AbVariant


def is_fixed(test: AbTest | None) -> bool:
    return test is not None and test.status != AbTestStatus.DRAFT


class AbVariantInline(admin.TabularInline):
    model = AbVariant
    extra = 0
    fields = ("name", "prompt_version", "is_control", "weight")
    readonly_fields = ("name", "prompt_version", "is_control")
    ordering = ("-is_control", "pk")
    verbose_name_plural = "Variants, fixed once the experiment has started"

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def has_change_permission(self, request: HttpRequest, obj: AbTest | None = None) -> bool:
        return super().has_change_permission(request, obj) and not is_fixed(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False


class AbTestAdmin(admin.ModelAdmin):
    """Once started, an experiment is to look at; actions lead it on. Promoting stands at its reading."""

    list_display = ("name", "account", "prompt", "status", "metric", "traffic_share", "started_at", "ended_at")
    list_filter = ("status", "metric")
    search_fields = ("name", "prompt__slug")
    list_select_related = ("account", "prompt")
    show_full_result_count = False
    list_per_page = 50
    inlines = (AbVariantInline,)
    actions = ("start_selected", "pause_selected", "resume_selected", "keep_control", "delete_drafts")
    fields = (
        ("name", "status"), "hypothesis", ("account", "prompt"), ("metric", "metric_cap"),
        ("traffic_share", "holdout_share"), "rule", ("created_by", "started_at", "ended_at"),
        ("outcome", "winner", "decided_by"), "decision_reason",
    )  # fmt: skip
    readonly_fields = (
        "status", "account", "prompt", "metric", "metric_cap", "traffic_share", "holdout_share", "rule", "created_by",
        "started_at", "ended_at", "outcome", "winner", "decided_by", "decision_reason",
    )  # fmt: skip

    def has_add_permission(self, request: HttpRequest) -> bool:
        return False  # the pages ask for everything that a draft needs

    def has_change_permission(self, request: HttpRequest, obj: AbTest | None = None) -> bool:
        return super().has_change_permission(request, obj) and not is_fixed(obj)

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False  # a draft is deleted by the action, anything else is history

    def save_model(self, request: HttpRequest, obj: AbTest, form: Any, change: bool) -> None:
        """With its variants, in `save_related`: one operation for all of it."""

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        weights = {
            row.instance.pk: row.cleaned_data["weight"]
            for formset in formsets
            for row in formset.forms
            if "weight" in row.cleaned_data
        }
        for formset in formsets:
            formset.save(commit=False)  # the admin's own log of changes reads what this notes
        data = form.cleaned_data
        try:
            change_draft(
                test=form.instance,
                name=data["name"],
                hypothesis=data["hypothesis"],
                weights=weights,
                actor=actor_of(request),
            )
        except ExperimentError as error:
            self.message_user(request, f"{form.instance.name} is not changed: {error}", messages.ERROR)

    def _each(
        self, request: HttpRequest, queryset: QuerySet[AbTest], done: str, act: Callable[[AbTest], object]
    ) -> None:
        for test in queryset.order_by("pk"):
            try:
                act(test)
            except ExperimentError as error:
                self.message_user(request, f"{test.name}: {error}", messages.ERROR)
            else:
                self.message_user(request, f"{test.name} {done}.")

    @admin.action(description="Start")
    def start_selected(self, request: HttpRequest, queryset: QuerySet[AbTest]) -> None:
        self._each(request, queryset, "runs", lambda test: start_experiment(test=test, actor=actor_of(request)))

    @admin.action(description="Pause")
    def pause_selected(self, request: HttpRequest, queryset: QuerySet[AbTest]) -> None:
        self._each(request, queryset, "rests", lambda test: pause_experiment(test=test, actor=actor_of(request)))

    @admin.action(description="Resume")
    def resume_selected(self, request: HttpRequest, queryset: QuerySet[AbTest]) -> None:
        self._each(request, queryset, "runs again", lambda test: resume_experiment(test=test, actor=actor_of(request)))

    @admin.action(description="End, and keep the control")
    def keep_control(self, request: HttpRequest, queryset: QuerySet[AbTest]) -> None:
        self._each(
            request,
            queryset,
            "has ended; the control stays",
            lambda test: complete_experiment(
                test=test, winner=None, actor=actor_of(request), reason="Ended in the admin."
            ),
        )

    @admin.action(description="Delete drafts")
    def delete_drafts(self, request: HttpRequest, queryset: QuerySet[AbTest]) -> None:
        self._each(request, queryset, "is deleted", lambda test: delete_experiment(test=test, actor=actor_of(request)))
