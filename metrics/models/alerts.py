"""What was told about budgets, once each, and where an account wants to hear of it."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from accounts.models import Account
from agent_runs.models import AgentRun
from metrics.models.budgets import CostBudget
from paid.lib.columns import Changed, Created, usd
from paid.lib.constraints import TenantForeignKey
from paid.lib.encryption import EncryptedField


class BudgetAlert(Created):
    """A budget passed a threshold (1: all of it is used up or held). The unique row makes it once per period.

    Without a budget it says that a run's own limit is used up, at most once a day; with a budget and a run, that
    this run passed a limit per run. It is told until `told_at` is set: who dies while telling leaves it due again.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    # The database takes alerts away with their budget: a tenant, who may remove that, may touch no alert.
    cost_budget = models.ForeignKey(
        CostBudget, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="alerts"
    )
    agent_run = models.ForeignKey(
        AgentRun, null=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    period_starts_on = models.DateField()  # UTC
    threshold = models.DecimalField(max_digits=4, decimal_places=3)
    limit_usd = usd()
    spent_usd = usd()
    due_at = models.DateTimeField(db_default=Now())
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    mailed_at = models.DateTimeField(null=True)
    posted_at = models.DateTimeField(null=True)
    told_at = models.DateTimeField(null=True)
    last_error = models.TextField(default="", db_default="")

    class Meta:
        db_table = "budget_alerts"
        constraints: ClassVar = [
            models.UniqueConstraint(
                fields=["account", "cost_budget", "agent_run", "period_starts_on", "threshold"],
                nulls_distinct=False,
                name="budget_alerts_once",
            ),
            models.CheckConstraint(
                condition=Q(cost_budget__isnull=False) | Q(agent_run__isnull=False), name="budget_alerts_of_something"
            ),
            TenantForeignKey(
                column="cost_budget_id", to="cost_budgets", name="budget_alerts_budget_fk", on_delete="CASCADE"
            ),
            TenantForeignKey(column="agent_run_id", to="agent_runs", name="budget_alerts_run_fk", on_delete="CASCADE"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["due_at", "id"], condition=Q(told_at__isnull=True), name="budget_alerts_due"),
            models.Index(F("account"), F("created_at").desc(), name="budget_alerts_newest"),
        ]

    def __str__(self) -> str:
        return f"{self.threshold} of {self.limit_usd} from {self.period_starts_on}"


class AlertWebhook(Changed):
    """Where an account's alerts are posted, signed with `secret`, which is never shown again."""

    account = models.OneToOneField(Account, on_delete=models.CASCADE, related_name="alert_webhook")
    url = models.URLField(max_length=500)
    secret = EncryptedField()

    class Meta:
        db_table = "alert_webhooks"

    def __str__(self) -> str:
        return self.url
