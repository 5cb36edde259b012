"""Calls through the gateway, from before the provider is asked until the ledger has the row."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account
from paid.lib.columns import usd


class GatewayCall(models.Model):
    """The hold for one call, while it is under way: with its end the row goes, and the ledger has its own.

    A gateway that dies leaves it behind; the next start settles it with what is known.
    """

    request_id = models.UUIDField(primary_key=True)
    # No index: only the few calls that are under way are here.
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent_run_id = models.BigIntegerField()
    run_created_at = models.DateTimeField()
    language_model_id = models.BigIntegerField(null=True)
    model_name = models.CharField(max_length=200)
    hold_usd = usd(default=0, db_default=0)
    # As far as the provider's stream has told, so that a crash loses as little as possible.
    input_tokens = models.BigIntegerField(default=0, db_default=0)
    output_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_read_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_write_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_write_1h_tokens = models.BigIntegerField(default=0, db_default=0)  # of `cache_write_tokens`
    gateway_id = models.CharField(max_length=100)
    opened_at = models.DateTimeField()

    class Meta:
        db_table = "gateway_calls"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(hold_usd__gte=0), name="gateway_calls_hold_not_negative"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["agent_run_id"], name="gateway_calls_of_run"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id} of run {self.agent_run_id}"
