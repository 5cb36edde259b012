"""The log of a run. Written in batches by COPY; partitioned by the start of the run."""

from typing import ClassVar

from django.db import models

from accounts.models import Account
from paid.lib.columns import Created
from paid.lib.constraints import one_of


class LogKind(models.TextChoices):
    STDOUT = "stdout", "Output"
    STDERR = "stderr", "Errors"
    SYSTEM = "system", "Paid"
    METRIC = "metric", "Metric"
    EVENT = "event", "Event"


class AgentRunLog(Created):
    """One line or event. The key starts with the run's `created_at`, so that a page of one run reads one partition."""

    pk = models.CompositePrimaryKey("run_created_at", "agent_run_id", "seq")
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    run_created_at = models.DateTimeField()
    agent_run_id = models.BigIntegerField()
    seq = models.BigIntegerField()
    kind = models.CharField(max_length=20, choices=LogKind.choices)
    content = models.TextField()
    metadata = models.JSONField(default=dict, db_default={})

    class Meta:
        db_table = "agent_run_logs"
        constraints: ClassVar = [one_of("kind", LogKind, "agent_run_logs_kind_known")]

    def __str__(self) -> str:
        return f"{self.agent_run_id}/{self.seq}"
