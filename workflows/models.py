"""What Temporal runs for us, and what we still have to tell it."""

from typing import ClassVar

from django.db import models
from django.db.models import Q
from django.db.models.functions import Now

from accounts.models import Account
from agent_runs.models import AgentRun
from paid.lib.columns import Changed, Created
from paid.lib.constraints import TenantForeignKey, one_of


class WorkflowStatus(models.TextChoices):
    RUNNING = "running", "Running"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    CANCELED = "canceled", "Cancelled"
    TERMINATED = "terminated", "Terminated"
    TIMED_OUT = "timed_out", "Timed out"
    CONTINUED_AS_NEW = "continued_as_new", "Continued"


class WorkflowState(Changed):
    """A projection for the pages; Temporal stays the truth."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    workflow_id = models.CharField(max_length=200)
    temporal_run_id = models.CharField(max_length=100)
    workflow_type = models.CharField(max_length=100)
    agent_run_id = models.BigIntegerField(null=True, blank=True)
    status = models.CharField(
        max_length=20,
        choices=WorkflowStatus.choices,
        default=WorkflowStatus.RUNNING,
        db_default=WorkflowStatus.RUNNING,
    )
    input = models.JSONField(default=dict, db_default={})
    result = models.JSONField(null=True, blank=True)
    error = models.TextField(blank=True, default="", db_default="")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "workflow_states"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["workflow_id", "temporal_run_id"], name="workflow_states_unique"),
            one_of("status", WorkflowStatus, "workflow_states_status_known"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["agent_run_id"], name="workflow_states_of_run"),
            models.Index(fields=["finished_at"], name="workflow_states_ended"),
            # The reconciliation, every 20 seconds, in pages by id.
            models.Index(fields=["id"], condition=Q(status="running"), name="workflow_states_running"),
        ]

    def __str__(self) -> str:
        return f"{self.workflow_id}: {self.status}"


class OutboxCommand(Created):
    """A command to Temporal, written in the transaction that decided it (`paid.lib.outbox`), delivered by the sweep.

    Delivery is at least once; signal-with-start and the signal's own id make it harmless to repeat.
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    workflow_type = models.CharField(max_length=100)
    workflow_id = models.CharField(max_length=200)
    task_queue = models.CharField(max_length=100)
    signal = models.CharField(max_length=100)
    payload = models.JSONField(default=dict, db_default={})
    dedupe_key = models.CharField(max_length=200)
    attempts = models.PositiveIntegerField(default=0, db_default=0)
    available_at = models.DateTimeField(db_default=Now())
    delivered_at = models.DateTimeField(null=True, blank=True)
    last_error = models.TextField(blank=True, default="", db_default="")

    class Meta:
        db_table = "outbox"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "dedupe_key"], name="outbox_dedupe_unique"),
        ]
        indexes: ClassVar = [
            models.Index(fields=["available_at", "id"], condition=Q(delivered_at__isnull=True), name="outbox_due"),
        ]

    def __str__(self) -> str:
        return f"{self.signal} → {self.workflow_id}"


class RunRequest(Created):
    """A start of a run that a program asked for under a key of its own. The same key again is the same run."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    key = models.CharField(max_length=255)
    digest = models.BinaryField(max_length=32)  # SHA-256 of what was asked
    agent_run = models.ForeignKey(AgentRun, on_delete=models.CASCADE, db_constraint=False, related_name="+")

    class Meta:
        db_table = "run_requests"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "key"], name="run_requests_key_unique"),
            TenantForeignKey(column="agent_run_id", to="agent_runs", name="run_requests_run_fk", on_delete="CASCADE"),
        ]
        # What retention looks for.
        indexes: ClassVar = [models.Index(fields=["created_at"], name="run_requests_age")]

    def __str__(self) -> str:
        return f"{self.key} → run {self.agent_run_id}"
