"""What a run was worth, from what can be confirmed."""

from typing import ClassVar

from django.db import models
from django.db.models import F, Q
from django.db.models.functions import TruncDate

from accounts.models import Account, User
from agent_runs.models import AgentRun
from paid.lib.columns import Changed, Created
from paid.lib.constraints import TenantForeignKey


class QualityMetric(Changed):
    """One row per run. NULL is not known (yet): only what was confirmed counts."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent_run = models.OneToOneField(
        AgentRun, on_delete=models.CASCADE, db_constraint=False, related_name="quality_metric"
    )
    project_id = models.BigIntegerField()
    prompt_version_id = models.BigIntegerField()
    ab_variant_id = models.BigIntegerField(null=True, blank=True)
    language_model_id = models.BigIntegerField()
    iterations = models.PositiveIntegerField(default=0, db_default=0)
    has_passing_ci = models.BooleanField(null=True, blank=True)
    has_passing_tests = models.BooleanField(null=True, blank=True)
    has_clean_lint = models.BooleanField(null=True, blank=True)
    is_merged = models.BooleanField(null=True, blank=True)
    is_approved = models.BooleanField(null=True, blank=True)  # by review
    lines_added = models.PositiveIntegerField(default=0, db_default=0)
    lines_removed = models.PositiveIntegerField(default=0, db_default=0)
    complexity = models.FloatField(null=True, blank=True)
    votes_up = models.PositiveIntegerField(default=0, db_default=0)
    votes_down = models.PositiveIntegerField(default=0, db_default=0)
    quality_score = models.DecimalField(max_digits=6, decimal_places=5, null=True, blank=True)

    class Meta:
        db_table = "quality_metrics"
        constraints: ClassVar = [
            models.CheckConstraint(
                condition=Q(quality_score__isnull=True) | Q(quality_score__gte=0, quality_score__lte=1),
                name="quality_metrics_score_range",
            ),
            TenantForeignKey(
                column="agent_run_id", to="agent_runs", name="quality_metrics_run_fk", on_delete="CASCADE"
            ),
        ]
        indexes: ClassVar = [
            # The rolling average of 30 runs per variant, in order of time.
            models.Index(
                fields=["account", "ab_variant_id", "created_at"],
                include=["quality_score"],
                name="quality_metrics_rolling",
            ),
            # The worst runs of each day, and a day's rows when its sums are proved.
            models.Index(
                F("account"),
                TruncDate("created_at"),
                F("quality_score"),
                name="quality_metrics_worst",
            ),
        ]

    def __str__(self) -> str:
        return f"quality of run {self.agent_run_id}"


class RunVote(Created):
    """A person's opinion of a run: 1 up, -1 down."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    agent_run = models.ForeignKey(AgentRun, on_delete=models.CASCADE, db_constraint=False, related_name="votes")
    user = models.ForeignKey(User, on_delete=models.CASCADE, related_name="+")
    value = models.SmallIntegerField()

    class Meta:
        db_table = "run_votes"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["agent_run", "user"], name="run_votes_one_each"),
            models.CheckConstraint(condition=Q(value__in=(-1, 1)), name="run_votes_value_known"),
            TenantForeignKey(column="agent_run_id", to="agent_runs", name="run_votes_run_fk", on_delete="CASCADE"),
        ]

    def __str__(self) -> str:
        return f"{self.value:+d} for run {self.agent_run_id}"
