"""Budgets to set; what was spent and what it was worth to look at."""

from django.contrib import admin, messages
from django.db.models import QuerySet
from django.http import HttpRequest

from accounts.admin_base import AuditedAdmin, ReadOnlyAdmin, actor_of
from metrics.experiments.operations import conclude_experiment, look_at_experiment
from metrics.models import BudgetReservation, CostBudget, ExperimentReading, GatewayCall, Proposal, QualityMetric
from prompts.errors import ExperimentError, PromptExists


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
    list_display = ("request_id", "agent_run_id", "model_name", "hold_usd", "opened_at")
    search_fields = ("=agent_run_id", "model_name")


@admin.register(QualityMetric)
class QualityMetricAdmin(ReadOnlyAdmin):
    list_display = ("agent_run_id", "account", "quality_score", "has_passing_tests", "has_passing_ci", "is_merged")
    search_fields = ("=agent_run__id",)
    list_select_related = ("account",)


@admin.register(ExperimentReading)
class ExperimentReadingAdmin(ReadOnlyAdmin):
    """The last look at each experiment. What it proposes is carried out as an admin of the account would."""

    list_display = ("ab_test", "account", "proposal", "proposed_variant", "subjects_settled", "computed_at")
    list_filter = ("proposal",)
    search_fields = ("ab_test__name",)
    list_select_related = ("ab_test", "account", "proposed_variant")
    actions = ("look_again", "carry_out")

    @admin.action(description="Look again")
    def look_again(self, request: HttpRequest, queryset: QuerySet[ExperimentReading]) -> None:
        for reading in queryset.order_by("pk"):
            look_at_experiment(test=reading.ab_test)
            self.message_user(request, f"{reading.ab_test} is read as of now.")

    @admin.action(description="End the experiment as proposed")
    def carry_out(self, request: HttpRequest, queryset: QuerySet[ExperimentReading]) -> None:
        for reading in queryset.order_by("pk"):
            if reading.proposal == Proposal.WAIT:
                self.message_user(request, f"{reading.ab_test}: nothing is proposed yet.", messages.ERROR)
                continue
            # Only a promotion names a winner; the variant of a broken guardrail is the one that did the harm.
            winner = reading.proposed_variant if reading.proposal == Proposal.PROMOTE else None
            try:
                conclude_experiment(test=reading.ab_test, winner=winner, actor=actor_of(request), reason=reading.reason)
            except (ExperimentError, PromptExists) as error:
                self.message_user(request, f"{reading.ab_test}: {error}", messages.ERROR)
            else:
                done = f"“{winner}” is promoted" if winner else "the control stays"
                self.message_user(request, f"{reading.ab_test} has ended: {done}.")
