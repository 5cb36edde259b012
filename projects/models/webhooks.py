"""Deliveries of webhooks, each handled exactly once."""

from typing import ClassVar

from django.db import models

from accounts.models import Account
from paid.lib.columns import Created
from paid.lib.constraints import TenantForeignKey, one_of
from projects.models.projects import Project


class ClaimState(models.TextChoices):
    RECEIVED = "received", "Received"
    CLAIMED = "claimed", "Claimed"
    DONE = "done", "Done"
    IGNORED = "ignored", "Ignored"
    FAILED = "failed", "Failed"


class WebhookDelivery(Created):
    """A delivery as it came; who claims it handles it until `claimed_until`."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    project = models.ForeignKey(
        Project, on_delete=models.CASCADE, db_constraint=False, related_name="webhook_deliveries"
    )
    delivery_id = models.CharField(max_length=100)
    event = models.CharField(max_length=100)
    payload = models.JSONField(default=dict, db_default={})
    claim_state = models.CharField(
        max_length=20, choices=ClaimState.choices, default=ClaimState.RECEIVED, db_default=ClaimState.RECEIVED
    )
    claimed_until = models.DateTimeField(null=True, blank=True)
    error = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "webhook_deliveries"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["project", "delivery_id"], name="webhook_deliveries_once"),
            one_of("claim_state", ClaimState, "webhook_deliveries_claim_state_known"),
            TenantForeignKey(
                column="project_id", to="projects", name="webhook_deliveries_project_fk", on_delete="CASCADE"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.event} {self.delivery_id}"
