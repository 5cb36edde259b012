"""Budgets to set; what was spent and what it was worth to look at."""

from django.contrib import admin

from accounts.admin_base import AuditedAdmin, ReadOnlyAdmin
from metrics.models import BudgetReservation, CostBudget, GatewayCall, QualityMetric


@admin.register(CostBudget)
class CostBudgetAdmin(AuditedAdmin):
    list_display = ("account", "project", "period", "limit_usd", "alert_threshold", "is_hard")
    list_filter = ("period", "is_hard")
    search_fields = ("account__name", "project__name")
    list_select_related = ("account", "project")
    autocomplete_fields = ("account", "project")


@admin.register(BudgetReservation)
class BudgetReservationAdmin(ReadOnlyAdmin):
    list_display = ("agent_run_id", "account", "amount_usd", "drawn_usd", "expires_at", "closed_at")
    search_fields = ("=agent_run__id",)
    list_select_related = ("account",)


@admin.register(GatewayCall)
class GatewayCallAdmin(ReadOnlyAdmin):
    list_display = ("request_id", "agent_run_id", "model_name", "state", "hold_usd", "opened_at", "closed_at")
    list_filter = ("state",)
    search_fields = ("=agent_run_id", "model_name")


@admin.register(QualityMetric)
class QualityMetricAdmin(ReadOnlyAdmin):
    list_display = ("agent_run_id", "account", "quality_score", "has_passing_tests", "has_passing_ci", "is_merged")
    search_fields = ("=agent_run__id",)
    list_select_related = ("account",)
