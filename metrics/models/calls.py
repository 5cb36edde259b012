"""Calls through the gateway, from before the provider is asked until the ledger has the row."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account
from paid.lib.columns import usd
from paid.lib.constraints import one_of


class CallState(models.TextChoices):
    OPEN = "open", "Open"
    SETTLED = "settled", "Settled"
    RELEASED = "released", "Released"  # the provider was never reached, or refused: nothing to pay


class GatewayCall(models.Model):
    """The hold for one call. A gateway that dies leaves it open; the next start settles it with what is known."""

    request_id = models.UUIDField(primary_key=True)
    # No index: the few calls that are open have one of theirs, the others are asked for only when their account goes.
    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent_run_id = models.BigIntegerField()
    run_created_at = models.DateTimeField()
    language_model_id = models.BigIntegerField(null=True)
    model_name = models.CharField(max_length=200)
    state = models.CharField(
        max_length=20, choices=CallState.choices, default=CallState.OPEN, db_default=CallState.OPEN
    )
    hold_usd = usd(default=0, db_default=0)
    # As far as the provider's stream has told, so that a crash loses as little as possible.
    input_tokens = models.BigIntegerField(default=0, db_default=0)
    output_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_read_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_write_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_write_1h_tokens = models.BigIntegerField(default=0, db_default=0)  # of `cache_write_tokens`
    gateway_id = models.CharField(max_length=100)
    opened_at = models.DateTimeField()
    closed_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "gateway_calls"
        constraints: ClassVar = [
            one_of("state", CallState, "gateway_calls_state_known"),
            models.CheckConstraint(condition=Q(hold_usd__gte=0), name="gateway_calls_hold_not_negative"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["agent_run_id"], condition=Q(state="open"), name="gateway_calls_open"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id}: {self.state}"
