"""Budgets, and the escrow that each run takes from them."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from accounts.models import Account
from agent_runs.models import AgentRun
from paid.lib.columns import Changed, Created, usd
from paid.lib.constraints import RowRule, TenantForeignKey, one_of
from projects.models import Project


class BudgetPeriod(models.TextChoices):
    RUN = "run", "Per run"
    DAY = "day", "Per day"
    MONTH = "month", "Per month"


class CostBudget(Changed):
    """A limit for an account or one project. A hard one can never be passed; a soft one only warns."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="cost_budgets")
    project = models.ForeignKey(
        Project,
        null=True,
        blank=True,
        on_delete=models.CASCADE,
        db_constraint=False,
        related_name="cost_budgets",
    )
    period = models.CharField(max_length=10, choices=BudgetPeriod.choices)
    limit_usd = usd()
    alert_threshold = models.DecimalField(
        max_digits=4, decimal_places=3, default=Decimal("0.8"), db_default=Decimal("0.8")
    )
    is_hard = models.BooleanField(default=True, db_default=True)

    class Meta:
        db_table = "cost_budgets"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="cost_budgets_tenant_key"),
            models.UniqueConstraint(
                fields=["account", "project", "period"],
                nulls_distinct=False,
                name="cost_budgets_period_unique",
            ),
            one_of("period", BudgetPeriod, "cost_budgets_period_known"),
            models.CheckConstraint(condition=Q(limit_usd__gte=0), name="cost_budgets_limit_not_negative"),
            models.CheckConstraint(
                condition=Q(alert_threshold__gt=0, alert_threshold__lte=1),
                name="cost_budgets_threshold_is_a_share",
            ),
            TenantForeignKey(column="project_id", to="projects", name="cost_budgets_project_fk", on_delete="CASCADE"),
        ]

    def __str__(self) -> str:
        return f"{self.limit_usd} {self.period}"


class BudgetReservation(Created):
    """A run's escrow: taken once from its budgets, drawn down per call, returned with the end of the run.

    What calls came to since they were last posted (metrics/sql/posting.sql) is not in the run's own sums yet.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    project_id = models.BigIntegerField()
    agent_run = models.OneToOneField(
        AgentRun, on_delete=models.CASCADE, db_constraint=False, related_name="budget_reservation"
    )
    amount_usd = usd()
    drawn_usd = usd(default=0, db_default=0)
    granted_usd = usd(default=0, db_default=0)  # by people, beyond the run's own limit
    expires_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True, blank=True)
    unposted_calls = models.BigIntegerField(default=0, db_default=0)
    unposted_unpriced_calls = models.BigIntegerField(default=0, db_default=0)
    unposted_usd = usd(default=0, db_default=0)
    unposted_input_tokens = models.BigIntegerField(default=0, db_default=0)
    unposted_output_tokens = models.BigIntegerField(default=0, db_default=0)
    unposted_cache_read_tokens = models.BigIntegerField(default=0, db_default=0)
    unposted_cache_write_tokens = models.BigIntegerField(default=0, db_default=0)
    # Something is unposted although the escrow is closed. Posting finds open ones by `budget_reservations_held`.
    is_late = models.BooleanField(default=False, db_default=False)

    class Meta:
        db_table = "budget_reservations"
        constraints: ClassVar = [
            # The one that each model call pays for: nor is the amount negative, then.
            models.CheckConstraint(
                condition=Q(drawn_usd__gte=0, drawn_usd__lte=F("amount_usd")),
                name="budget_reservations_not_overdrawn",
            ),
            RowRule(condition=Q(granted_usd__gte=0), name="budget_reservations_not_negative"),
            TenantForeignKey(
                column="agent_run_id", to="agent_runs", name="budget_reservations_run_fk", on_delete="CASCADE"
            ),
        ]
        indexes: ClassVar = [
            # What is in escrow now, per account: read under the budget's lock when a run starts. Without the amounts,
            # which every model call changes: an index that held them would have to be written by each.
            models.Index(
                fields=["account", "project_id"], condition=Q(closed_at__isnull=True), name="budget_reservations_held"
            ),
            models.Index(fields=["agent_run"], condition=Q(is_late=True), name="budget_reservations_late"),
        ]

    def __str__(self) -> str:
        return f"escrow of run {self.agent_run_id}"
