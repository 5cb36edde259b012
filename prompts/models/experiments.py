"""Experiments on one prompt: variants are prompt versions with a weight."""

from decimal import Decimal
from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account, User
from paid.lib.columns import Changed, Created
from paid.lib.constraints import TenantForeignKey, one_of
from prompts.models.prompts import Prompt, PromptVersion


class AbTestStatus(models.TextChoices):
    DRAFT = "draft", "Draft"
    RUNNING = "running", "Running"
    PAUSED = "paused", "Paused"
    COMPLETED = "completed", "Completed"

    @property
    def colour(self) -> str:
        """Tabler's colour name."""
        return _COLOURS[self]


_COLOURS = {
    AbTestStatus.DRAFT: "secondary",
    AbTestStatus.RUNNING: "blue",
    AbTestStatus.PAUSED: "yellow",
    AbTestStatus.COMPLETED: "green",
}


class ExperimentMetric(models.TextChoices):
    """What an experiment is about. Costs and iterations are better when they are lower."""

    QUALITY_SCORE = "quality_score", "Quality score"
    MERGE_RATE = "merge_rate", "Merge rate"
    COST = "cost", "Cost"
    ITERATIONS = "iterations", "Iterations"

    @property
    def has_cap(self) -> bool:
        """Whether outcomes have no natural bound, and are cut at one that is fixed before the start."""
        return self in CAPPED_METRICS


CAPPED_METRICS = (ExperimentMetric.COST, ExperimentMetric.ITERATIONS)


class ExperimentOutcome(models.TextChoices):
    """How a completed experiment ended."""

    PROMOTED = "promoted", "Variant promoted"
    CONTROL_KEPT = "control_kept", "Control kept"


class AbTest(Changed):
    """At most one runs per prompt and account. Subjects are assigned by keyed hash of `salt`.

    What decides about assignment and outcome is fixed once the test has started (a trigger holds it).
    """

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="ab_tests")
    prompt_account_id = models.BigIntegerField()
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, db_constraint=False, related_name="ab_tests")
    name = models.CharField(max_length=200)
    status = models.CharField(
        max_length=20, choices=AbTestStatus.choices, default=AbTestStatus.DRAFT, db_default=AbTestStatus.DRAFT
    )
    metric = models.CharField(
        max_length=30,
        choices=ExperimentMetric.choices,
        default=ExperimentMetric.QUALITY_SCORE,
        db_default=ExperimentMetric.QUALITY_SCORE,
    )
    traffic_share = models.DecimalField(max_digits=5, decimal_places=4, default=1, db_default=1)
    # Issues of this share never take part, the same ones in every experiment of the account.
    holdout_share = models.DecimalField(max_digits=5, decimal_places=4, default=0, db_default=0)
    salt = models.CharField(max_length=64)
    hypothesis = models.TextField(blank=True, default="", db_default="")
    metric_cap = models.DecimalField(max_digits=20, decimal_places=12, null=True, blank=True)  # USD, or iterations
    rule = models.JSONField(default=dict, db_default={}, blank=True)  # prompts.experiments.rule.DecisionRule
    created_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    outcome = models.CharField(max_length=20, choices=ExperimentOutcome.choices, blank=True, default="", db_default="")
    winner = models.ForeignKey(
        "AbVariant", null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    decided_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    decision_reason = models.TextField(blank=True, default="", db_default="")
    started_at = models.DateTimeField(null=True, blank=True)
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "ab_tests"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="ab_tests_tenant_key"),
            models.UniqueConstraint(
                fields=["account", "prompt"], condition=Q(status="running"), name="ab_tests_one_running"
            ),
            one_of("status", AbTestStatus, "ab_tests_status_known"),
            one_of("metric", ExperimentMetric, "ab_tests_metric_known"),
            models.CheckConstraint(
                condition=Q(traffic_share__gt=0, traffic_share__lte=1),
                name="ab_tests_traffic_share_is_a_share",
            ),
            models.CheckConstraint(
                condition=Q(holdout_share__gte=0, holdout_share__lte=Decimal("0.5")),
                name="ab_tests_holdout_share_is_small",
            ),
            models.CheckConstraint(
                condition=~Q(metric__in=CAPPED_METRICS) | Q(metric_cap__gt=0, metric_cap__isnull=False),
                name="ab_tests_unbounded_metric_has_cap",
            ),
            models.CheckConstraint(
                condition=Q(outcome="", winner__isnull=True) | Q(status="completed"), name="ab_tests_outcome_at_the_end"
            ),
            models.CheckConstraint(
                condition=Q(outcome__in=["", *ExperimentOutcome.values]), name="ab_tests_outcome_known"
            ),
            models.CheckConstraint(
                condition=Q(prompt_account_id=0) | Q(prompt_account_id=models.F("account_id")),
                name="ab_tests_prompt_account",
            ),
            TenantForeignKey(
                account_column="prompt_account_id",
                column="prompt_id",
                to="prompts",
                name="ab_tests_prompt_fk",
                on_delete="CASCADE",
            ),
            TenantForeignKey(column="winner_id", to="ab_variants", name="ab_tests_winner_fk", on_delete="SET NULL"),
        ]

    def __str__(self) -> str:
        return self.name


class AbVariant(Created):
    """A prompt version in an experiment; exactly one variant is the control."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    ab_test = models.ForeignKey(AbTest, on_delete=models.CASCADE, db_constraint=False, related_name="variants")
    version_account_id = models.BigIntegerField()
    prompt_version = models.ForeignKey(
        PromptVersion, on_delete=models.DO_NOTHING, db_constraint=False, related_name="variants"
    )
    name = models.CharField(max_length=100)
    weight = models.PositiveIntegerField(default=1, db_default=1)
    is_control = models.BooleanField(default=False, db_default=False)

    class Meta:
        db_table = "ab_variants"
        constraints: ClassVar = [
            models.UniqueConstraint(fields=["account", "id"], name="ab_variants_tenant_key"),
            models.UniqueConstraint(fields=["ab_test", "name"], name="ab_variants_name_unique"),
            models.UniqueConstraint(fields=["ab_test"], condition=Q(is_control=True), name="ab_variants_one_control"),
            models.CheckConstraint(
                condition=Q(weight__gt=0, weight__lte=1_000_000), name="ab_variants_weight_positive"
            ),
            models.CheckConstraint(
                condition=Q(version_account_id=0) | Q(version_account_id=models.F("account_id")),
                name="ab_variants_version_account",
            ),
            TenantForeignKey(column="ab_test_id", to="ab_tests", name="ab_variants_ab_test_fk", on_delete="CASCADE"),
            TenantForeignKey(
                account_column="version_account_id",
                column="prompt_version_id",
                to="prompt_versions",
                name="ab_variants_version_fk",
            ),
        ]

    def __str__(self) -> str:
        return self.name
