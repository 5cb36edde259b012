"""The ledger: what every model call cost. The only source of cost."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account
from paid.lib.columns import Created, usd


class UsageKind(models.TextChoices):
    CALL = "call", "Call"
    CORRECTION = "correction", "Correction"
    PRICING = "pricing", "Pricing"  # the correction that prices a call which was unpriced


class TokenUsage(Created):
    """One model call, or a correction of one. Append-only; partitioned by the month of the run's start.

    `payload_hash` (SHA-256 of what was counted) makes a repeated report harmless and a changed one an error.
    An unpriced call has `is_priced = false` and cost 0, and is shown as unpriced, never as free. What a row may hold
    is held by the trigger that adds it to its sums (metrics/sql/ledger_sums.sql): rows are never changed, and as CHECKs
    the same rules were a tenth of what a call's settlement cost.
    """

    pk = models.CompositePrimaryKey("run_created_at", "request_id")
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    project_id = models.BigIntegerField()
    run_created_at = models.DateTimeField()
    agent_run_id = models.BigIntegerField()
    request_id = models.UUIDField()
    kind = models.CharField(max_length=20, choices=UsageKind.choices, default=UsageKind.CALL, db_default=UsageKind.CALL)
    corrects_request_id = models.UUIDField(null=True)
    language_model_id = models.BigIntegerField(
        null=True
    )  # NULL: the provider answered with a model that is not registered
    model_name = models.CharField(max_length=200)
    provider_request_id = models.CharField(max_length=200, default="", db_default="")
    input_tokens = models.BigIntegerField(default=0, db_default=0)
    output_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_read_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_write_tokens = models.BigIntegerField(default=0, db_default=0)
    # Of `cache_write_tokens`: kept for an hour, at a price of their own.
    cache_write_1h_tokens = models.BigIntegerField(default=0, db_default=0)
    cost_usd = usd(default=0, db_default=0)
    is_priced = models.BooleanField()
    is_estimated = models.BooleanField(default=False, db_default=False)
    # Told by a program, not counted by the gateway: metrics/sql/reported_usage.sql.
    is_reported = models.BooleanField(default=False, db_default=False)
    payload_hash = models.BinaryField(max_length=32)
    # When the call was opened, by whose prices it is priced; NULL in corrections and in rows from before it was kept.
    called_at = models.DateTimeField(null=True)

    class Meta:
        db_table = "token_usages"
        indexes: ClassVar = [
            # The calls of one run, and the sum that its page shows.
            models.Index(fields=["agent_run_id", "created_at"], name="token_usages_of_run"),
            # What `reprice` looks through; next to nothing is in it.
            models.Index(fields=["request_id"], condition=Q(is_priced=False), name="token_usages_unpriced"),
        ]

    def __str__(self) -> str:
        return f"{self.request_id}: {self.cost_usd}"


class UsageDaily(models.Model):
    """Sums per account, project, model and day (UTC day of the ledger row), in 16 slots so that no row is hot.

    What a month of the ledger came to that was dropped is in slot -1 (metrics/sql/ledger_months.sql): a sum is that of
    all its slots, and the others equal the rows that are left.
    """

    pk = models.CompositePrimaryKey("account_id", "project_id", "day", "language_model_id", "slot")
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    project_id = models.BigIntegerField()
    language_model_id = models.BigIntegerField()  # 0: not registered
    day = models.DateField()
    slot = models.SmallIntegerField()
    calls = models.BigIntegerField(default=0, db_default=0)
    unpriced_calls = models.BigIntegerField(default=0, db_default=0)
    input_tokens = models.BigIntegerField(default=0, db_default=0)
    output_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_read_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_write_tokens = models.BigIntegerField(default=0, db_default=0)
    cost_usd = usd(default=0, db_default=0)

    class Meta:
        db_table = "usage_daily"
        # No CHECKs: only functions of metrics/sql write here, and each model call would pay for them (decision 0051).
        indexes: ClassVar = [models.Index(fields=["account", "day"], name="usage_daily_of_account")]

    def __str__(self) -> str:
        return f"{self.account_id}/{self.project_id} {self.day}: {self.cost_usd}"
