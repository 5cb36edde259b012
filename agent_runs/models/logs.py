"""The log of a run, written in batches by COPY and partitioned by the start of the run; and its index of words."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex
from django.contrib.postgres.search import SearchVectorField
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


class LogChunk(models.Model):
    """The words of up to 64 rows of one run's log, in their partition of the same day. Made by the indexer only."""

    # The day last: the planner would else read a day by this key, and every word of it, rather than by the words.
    pk = models.CompositePrimaryKey("agent_run_id", "first_seq", "run_created_at")
    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    project_id = models.BigIntegerField()
    run_created_at = models.DateTimeField()
    agent_run_id = models.BigIntegerField()
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()
    words = SearchVectorField()

    class Meta:
        db_table = "agent_run_log_chunks"
        # The account is part of the index (btree_gin): a search never reads another tenant's postings.
        indexes: ClassVar = [GinIndex(fields=["account", "words"], name="agent_run_log_chunks_words")]

    def __str__(self) -> str:
        return f"{self.agent_run_id}/{self.first_seq}-{self.last_seq}"


class LogBacklog(Created):
    """Rows that the indexer has not made chunks of yet: one note a batch, written by the trigger of the log."""

    account = models.ForeignKey(
        Account, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+", db_index=False
    )
    project_id = models.BigIntegerField()
    run_created_at = models.DateTimeField()
    agent_run_id = models.BigIntegerField()
    first_seq = models.BigIntegerField()
    last_seq = models.BigIntegerField()

    class Meta:
        db_table = "agent_run_log_backlog"
        indexes: ClassVar = [models.Index(fields=["account", "run_created_at"], name="agent_run_log_backlog_account")]

    def __str__(self) -> str:
        return f"{self.agent_run_id}/{self.first_seq}-{self.last_seq}"
