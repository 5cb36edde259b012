"""What a run leaves beside its log: its steps, its diff, and why its model was chosen."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q

from accounts.models import Account
from agent_runs.models.runs import AgentRun
from paid.lib.columns import Changed, Created, usd
from paid.lib.constraints import TenantForeignKey, one_of
from prompts.models import LanguageModel


class StepName(models.TextChoices):
    QUEUE = "queue", "Queued"
    WORKSPACE = "workspace", "Workspace"
    AGENT = "agent", "Agent"
    PUBLISH = "publish", "Publish"
    FINISH = "finish", "Finish"


class StepStatus(models.TextChoices):
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    DONE = "done", "Done"
    FAILED = "failed", "Failed"
    SKIPPED = "skipped", "Skipped"


class RunStep(Created):
    """One step on the run's timeline. A retried step keeps its row and counts the attempt."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    agent_run = models.ForeignKey(AgentRun, on_delete=models.CASCADE, db_constraint=False, related_name="steps")
    name = models.CharField(max_length=20, choices=StepName.choices)
    status = models.CharField(max_length=20, choices=StepStatus.choices)
    attempt = models.PositiveSmallIntegerField(default=1, db_default=1)
    detail = models.TextField(blank=True, default="", db_default="")
    started_at = models.DateTimeField()
    finished_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "agent_run_steps"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agent_run", "name"], name="agent_run_steps_name_unique"),
            one_of("name", StepName, "agent_run_steps_name_known"),
            one_of("status", StepStatus, "agent_run_steps_status_known"),
            TenantForeignKey(
                column="agent_run_id", to="agent_runs", name="agent_run_steps_run_fk", on_delete="CASCADE"
            ),
        ]

    def __str__(self) -> str:
        return f"{self.agent_run_id} {self.name}: {self.status}"


class RunDiff(Created):
    """The diff that was published, bounded in size, so that the page needs no forge."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    agent_run = models.OneToOneField(AgentRun, on_delete=models.CASCADE, db_constraint=False, related_name="diff")
    patch = models.TextField()
    files_changed = models.PositiveIntegerField()
    lines_added = models.PositiveIntegerField()
    lines_removed = models.PositiveIntegerField()
    is_truncated = models.BooleanField(default=False, db_default=False)

    class Meta:
        db_table = "agent_run_diffs"
        constraints: ClassVar = [
            TenantForeignKey(
                column="agent_run_id", to="agent_runs", name="agent_run_diffs_run_fk", on_delete="CASCADE"
            ),
        ]

    def __str__(self) -> str:
        return f"diff of run {self.agent_run_id}"


class SelectedBy(models.TextChoices):
    OVERRIDE = "override", "Override"
    RULES = "rules", "Rules"
    META_AGENT = "meta_agent", "Meta-agent"


class ModelSelection(Created):
    """Which model was chosen for a run, by what, from which candidates, and why."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    agent_run = models.OneToOneField(
        AgentRun, on_delete=models.CASCADE, db_constraint=False, related_name="model_selection"
    )
    model_account_id = models.BigIntegerField()
    language_model = models.ForeignKey(
        LanguageModel, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    selected_by = models.CharField(max_length=20, choices=SelectedBy.choices)
    candidates = models.JSONField(default=list, db_default=[])
    reason = models.TextField()

    class Meta:
        db_table = "model_selections"
        constraints: ClassVar = [
            one_of("selected_by", SelectedBy, "model_selections_selected_by_known"),
            models.CheckConstraint(
                condition=Q(model_account_id=0) | Q(model_account_id=F("account_id")),
                name="model_selections_model_account",
            ),
            TenantForeignKey(
                column="agent_run_id", to="agent_runs", name="model_selections_run_fk", on_delete="CASCADE"
            ),
            TenantForeignKey(
                account_column="model_account_id",
                column="language_model_id",
                to="language_models",
                name="model_selections_model_fk",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.selected_by}: {self.language_model_id}"


class ModelQuestionStatus(models.TextChoices):
    ASKING = "asking", "A model is asked"
    FOLLOWED = "followed", "Its choice was followed"
    SET_ASIDE = "set_aside", "The rules' choice stayed"


class ModelQuestion(Changed):
    """That the meta-agent is asked which model a run shall have. Until it was followed the rules' choice stands."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    agent_run = models.OneToOneField(
        AgentRun, on_delete=models.CASCADE, db_constraint=False, related_name="model_question"
    )
    status = models.CharField(
        max_length=20,
        choices=ModelQuestionStatus.choices,
        default=ModelQuestionStatus.ASKING,
        db_default=ModelQuestionStatus.ASKING,
    )
    cap_usd = usd()
    # The run that pays for the asking: its token, escrow and ledger rows. None before it was opened.
    consultation = models.ForeignKey(
        AgentRun, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )

    class Meta:
        db_table = "model_questions"
        constraints: ClassVar = [
            one_of("status", ModelQuestionStatus, "model_questions_status_known"),
            models.CheckConstraint(condition=Q(cap_usd__gt=0), name="model_questions_cap_positive"),
            TenantForeignKey(
                column="agent_run_id", to="agent_runs", name="model_questions_run_fk", on_delete="CASCADE"
            ),
            TenantForeignKey(
                column="consultation_id", to="agent_runs", name="model_questions_consultation_fk", on_delete="SET NULL"
            ),
        ]

    def __str__(self) -> str:
        return f"model of run {self.agent_run_id}: {self.status}"
