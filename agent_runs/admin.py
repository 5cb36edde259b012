"""Runs and their logs, to look at."""

from django.contrib import admin
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from accounts.admin_base import ReadOnlyAdmin
from agent_runs.models import AgentRun, ModelSelection


@admin.register(AgentRun)
class AgentRunAdmin(ReadOnlyAdmin):
    list_display = ("id", "account", "project", "issue", "agent", "status", "cost_usd", "created_at", "records")
    list_filter = ("status", "agent", "trigger")
    search_fields = ("=id", "project__name", "branch")
    list_select_related = ("account", "project", "issue")
    date_hierarchy = "created_at"
    exclude = ("run_token_hash",)
    readonly_fields = ("records",)

    @admin.display(description="Log and ledger")
    def records(self, run: AgentRun) -> SafeString:
        return format_html(
            '<a href="{}">Log</a> · <a href="{}">Ledger</a>',
            reverse("admin:run_log", args=[run.pk]),
            reverse("admin:run_ledger", args=[run.pk]),
        )


@admin.register(ModelSelection)
class ModelSelectionAdmin(ReadOnlyAdmin):
    list_display = ("agent_run_id", "language_model", "selected_by", "reason", "created_at")
    list_filter = ("selected_by",)
    search_fields = ("=agent_run__id",)
    list_select_related = ("language_model",)
