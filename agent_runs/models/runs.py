"""Runs: one agent, one issue, one branch."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from accounts.models import Account, User
from paid.lib.columns import Changed, usd
from paid.lib.constraints import RowRule, TenantForeignKey
from projects.models import Issue, Project, PullRequest
from prompts.models import AbVariant, LanguageModel, PromptVersion


class RunStatus(models.TextChoices):
    """The life of a run. A trigger lets a status change only along `NEXT_STATUSES`."""

    QUEUED = "queued", "Queued"
    PREPARING = "preparing", "Preparing"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    PUBLISHING = "publishing", "Publishing"
    COMPLETED = "completed", "Completed"
    FAILED = "failed", "Failed"
    STOPPED = "stopped", "Stopped"

    @property
    def colour(self) -> str:
        """Tabler's colour name."""
        return _COLOURS[self]

    @property
    def is_live(self) -> bool:
        return self in LIVE_STATUSES


_COLOURS = {
    RunStatus.QUEUED: "secondary",
    RunStatus.PREPARING: "azure",
    RunStatus.RUNNING: "blue",
    RunStatus.PAUSED: "yellow",
    RunStatus.PUBLISHING: "indigo",
    RunStatus.COMPLETED: "green",
    RunStatus.FAILED: "red",
    RunStatus.STOPPED: "orange",
}

LIVE_STATUSES = (
    RunStatus.QUEUED,
    RunStatus.PREPARING,
    RunStatus.RUNNING,
    RunStatus.PAUSED,
    RunStatus.PUBLISHING,
)
TERMINAL_STATUSES = (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.STOPPED)

# Held by the trigger agent_runs_status_machine in agent_runs/sql; a test compares the two.
NEXT_STATUSES: dict[RunStatus, tuple[RunStatus, ...]] = {
    RunStatus.QUEUED: (RunStatus.PREPARING, RunStatus.FAILED, RunStatus.STOPPED),
    RunStatus.PREPARING: (RunStatus.RUNNING, RunStatus.FAILED, RunStatus.STOPPED),
    RunStatus.RUNNING: (RunStatus.PAUSED, RunStatus.PUBLISHING, RunStatus.FAILED, RunStatus.STOPPED),
    RunStatus.PAUSED: (RunStatus.RUNNING, RunStatus.PUBLISHING, RunStatus.FAILED, RunStatus.STOPPED),
    RunStatus.PUBLISHING: (RunStatus.COMPLETED, RunStatus.FAILED, RunStatus.STOPPED),
    RunStatus.COMPLETED: (),
    RunStatus.FAILED: (),
    RunStatus.STOPPED: (),
}


class RunTrigger(models.TextChoices):
    PERSON = "person", "A person"
    LABEL = "label", "A label"
    API = "api", "The API"
    DEMO = "demo", "The demo"
    EVOLUTION = "evolution", "The evolution of a prompt"
    MODEL_CHOICE = "model_choice", "The choice of a run's model"


class AgentRun(Changed):
    """What happened, with everything that was decided for it frozen on the row."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="agent_runs", db_index=False)
    project = models.ForeignKey(Project, on_delete=models.CASCADE, db_constraint=False, related_name="agent_runs")
    issue = models.ForeignKey(Issue, on_delete=models.CASCADE, db_constraint=False, related_name="agent_runs")
    version_account_id = models.BigIntegerField()
    prompt_version = models.ForeignKey(
        PromptVersion, on_delete=models.DO_NOTHING, db_constraint=False, related_name="agent_runs"
    )
    ab_variant = models.ForeignKey(
        AbVariant,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="agent_runs",
    )
    model_account_id = models.BigIntegerField()
    language_model = models.ForeignKey(
        LanguageModel, on_delete=models.DO_NOTHING, db_constraint=False, related_name="agent_runs"
    )
    pull_request = models.ForeignKey(
        PullRequest,
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="agent_runs",
    )
    retry_of = models.ForeignKey(
        "self",
        null=True,
        blank=True,
        on_delete=models.DO_NOTHING,
        db_constraint=False,
        related_name="retries",
    )
    requested_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    trigger = models.CharField(max_length=20, choices=RunTrigger.choices)
    agent = models.CharField(max_length=50)
    status = models.CharField(
        max_length=20, choices=RunStatus.choices, default=RunStatus.QUEUED, db_default=RunStatus.QUEUED
    )
    # Frozen at the start.
    prompt_text = models.TextField(default="", db_default="")
    system_prompt_text = models.TextField(blank=True, default="", db_default="")
    limits = models.JSONField(default=dict, db_default={})  # agent_runs.limits.RunLimits
    fingerprint = models.CharField(max_length=64, default="", db_default="")
    workflow_id = models.CharField(max_length=200, default="", db_default="")
    run_token_hash = models.BinaryField(max_length=32, null=True, blank=True)  # NULL once the run has ended
    # What came of it.
    branch = models.CharField(max_length=250, blank=True, default="", db_default="")
    base_sha = models.CharField(max_length=64, blank=True, default="", db_default="")
    head_sha = models.CharField(max_length=64, blank=True, default="", db_default="")
    error_code = models.CharField(max_length=50, blank=True, default="", db_default="")
    error = models.TextField(blank=True, default="", db_default="")
    summary = models.TextField(blank=True, default="", db_default="")  # the agent's closing words
    iterations = models.IntegerField(default=0, db_default=0)
    stop_requested_at = models.DateTimeField(null=True, blank=True)
    stop_requested_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    # Since when it waits for a person to grant money, and how many times it has come to that.
    paused_at = models.DateTimeField(null=True, blank=True)
    pauses = models.SmallIntegerField(default=0, db_default=0)
    started_at = models.DateTimeField(null=True, blank=True)
    finished_at = models.DateTimeField(null=True, blank=True)
    # Sums of the run's ledger rows, kept by the function that writes them.
    input_tokens = models.BigIntegerField(default=0, db_default=0)
    output_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_read_tokens = models.BigIntegerField(default=0, db_default=0)
    cache_write_tokens = models.BigIntegerField(default=0, db_default=0)
    cost_usd = usd(default=0, db_default=0)
    unpriced_calls = models.PositiveIntegerField(default=0, db_default=0)

    class Meta:
        db_table = "agent_runs"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="agent_runs_tenant_key"),
            models.UniqueConstraint(
                fields=["issue"], condition=Q(status__in=LIVE_STATUSES), name="agent_runs_one_live_per_issue"
            ),
            models.UniqueConstraint(
                fields=["run_token_hash"],
                condition=Q(run_token_hash__isnull=False),
                name="agent_runs_token_unique",
            ),
            # Rules of columns that a model call does not write: as CHECKs they were a fifth of its settlement.
            RowRule(condition=Q(status__in=RunStatus.values), name="agent_runs_status_known"),
            RowRule(condition=Q(trigger__in=RunTrigger.values), name="agent_runs_trigger_known"),
            RowRule(condition=Q(iterations__gte=0, pauses__gte=0), name="agent_runs_counts_not_negative"),
            RowRule(
                condition=Q(finished_at__isnull=False, run_token_hash__isnull=True)
                | Q(status__in=LIVE_STATUSES, finished_at__isnull=True),
                name="agent_runs_ended_has_time_and_no_token",
            ),
            RowRule(
                condition=Q(status="paused", paused_at__isnull=False)
                | (~Q(status="paused") & Q(paused_at__isnull=True)),
                name="agent_runs_paused_since_when",
            ),
            RowRule(
                condition=Q(version_account_id=0) | Q(version_account_id=F("account_id")),
                name="agent_runs_version_account",
            ),
            RowRule(
                condition=Q(model_account_id=0) | Q(model_account_id=F("account_id")),
                name="agent_runs_model_account",
            ),
            TenantForeignKey(column="project_id", to="projects", name="agent_runs_project_fk", on_delete="CASCADE"),
            TenantForeignKey(column="issue_id", to="issues", name="agent_runs_issue_fk", on_delete="CASCADE"),
            TenantForeignKey(
                account_column="version_account_id",
                column="prompt_version_id",
                to="prompt_versions",
                name="agent_runs_version_fk",
            ),
            TenantForeignKey(column="ab_variant_id", to="ab_variants", name="agent_runs_variant_fk"),
            TenantForeignKey(
                account_column="model_account_id",
                column="language_model_id",
                to="language_models",
                name="agent_runs_model_fk",
            ),
            TenantForeignKey(
                column="pull_request_id",
                to="pull_requests",
                name="agent_runs_pull_request_fk",
                on_delete="SET NULL",
            ),
            TenantForeignKey(
                column="retry_of_id", to="agent_runs", name="agent_runs_retry_of_fk", on_delete="SET NULL"
            ),
        ]
        indexes: ClassVar = [
            # The sweep of live runs and "runs now".
            models.Index(fields=["account", "status"], condition=Q(status__in=LIVE_STATUSES), name="agent_runs_live"),
            # Keyset pages, newest first, narrowed by what it includes. No index holds what its calls change (cost,
            # tokens), so that these updates touch no index at all.
            models.Index(
                fields=["account", "-created_at", "-id"],
                include=["status", "project", "language_model"],
                name="agent_runs_recent",
            ),
            # The last failures, however long ago.
            models.Index(
                fields=["account", "-created_at", "-id"], condition=Q(status="failed"), name="agent_runs_failed"
            ),
            # Of an agent that few runs have, or none: along agent_runs_recent every run would be read for it.
            models.Index(fields=["account", "agent", "-created_at", "-id"], name="agent_runs_of_agent"),
        ]

    def __str__(self) -> str:
        return f"run {self.pk}"
