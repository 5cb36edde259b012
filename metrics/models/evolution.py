"""Evolution of prompts: what an account allows, and each cycle from a weak prompt to a decided experiment."""

from decimal import Decimal
from typing import ClassVar

from django.contrib.postgres.fields import ArrayField
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models
from django.db.models import Q
from pydantic import BaseModel, ConfigDict

from accounts.models import Account, User
from agent_runs.models import AgentRun
from paid.lib.columns import Changed, usd
from paid.lib.constraints import TenantForeignKey, one_of
from paid.lib.json_shapes import ShapedJSONField
from prompts.models import AbTest, Prompt, PromptVersion


class EvolutionStatus(models.TextChoices):
    ASKING = "asking", "A model is asked"
    PROPOSED = "proposed", "Waits for a person"
    TESTING = "testing", "Experiment runs"
    PROMOTED = "promoted", "A proposal won"
    KEPT = "kept", "The prompt stayed"
    REJECTED = "rejected", "Proposals rejected"
    EXPIRED = "expired", "Nobody decided"
    CAPPED = "capped", "Spending cap reached"
    FAILED = "failed", "Failed"


OPEN_EVOLUTIONS = (EvolutionStatus.ASKING, EvolutionStatus.PROPOSED, EvolutionStatus.TESTING)


class Candidate(BaseModel):
    """A proposed text. `refusals` say why it may not be tried; empty if it may. `version_id` once it was saved."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    template: str
    system_prompt: str = ""
    reason: str = ""
    refusals: tuple[str, ...] = ()
    version_id: int | None = None


class EvolutionPolicy(Changed):
    """Whether and how one prompt of the account may be improved by itself. Off unless a person switches it on."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    prompt = models.OneToOneField(
        Prompt, on_delete=models.CASCADE, db_constraint=False, related_name="evolution_policy"
    )
    is_on = models.BooleanField(default=False, db_default=False)
    needs_approval = models.BooleanField(default=True, db_default=True)
    # Of one cycle: the asking, and the runs that get a proposal.
    spending_cap_usd = models.DecimalField(
        max_digits=10,
        decimal_places=2,
        default=Decimal(20),
        db_default=Decimal(20),
        validators=[MinValueValidator(Decimal("0.01"))],
    )
    minimum_runs = models.PositiveIntegerField(
        default=20, db_default=20, validators=[MinValueValidator(1), MaxValueValidator(200)]
    )
    # A prompt whose mean quality is below is weak.
    weak_below = models.DecimalField(
        max_digits=4,
        decimal_places=3,
        default=Decimal("0.6"),
        db_default=Decimal("0.6"),
        validators=[MinValueValidator(Decimal(0)), MaxValueValidator(Decimal(1))],
    )
    proposals = models.PositiveSmallIntegerField(
        default=3, db_default=3, validators=[MinValueValidator(1), MaxValueValidator(5)]
    )
    every_hours = models.PositiveIntegerField(
        default=24 * 7, db_default=24 * 7, validators=[MinValueValidator(1), MaxValueValidator(24 * 90)]
    )

    class Meta:
        db_table = "evolution_policies"
        constraints: ClassVar = [
            models.CheckConstraint(condition=Q(spending_cap_usd__gt=0), name="evolution_policies_cap_positive"),
            models.CheckConstraint(
                condition=Q(proposals__gte=1, proposals__lte=5), name="evolution_policies_few_proposals"
            ),
            models.CheckConstraint(
                condition=Q(weak_below__gte=0, weak_below__lte=1), name="evolution_policies_threshold_is_a_score"
            ),
            models.CheckConstraint(
                condition=Q(minimum_runs__gte=1, every_hours__gte=1), name="evolution_policies_at_least_one"
            ),
            TenantForeignKey(
                column="prompt_id", to="prompts", name="evolution_policies_prompt_fk", on_delete="CASCADE"
            ),
        ]

    def __str__(self) -> str:
        return f"evolution of prompt {self.prompt_id}: {'on' if self.is_on else 'off'}"


class Evolution(Changed):
    """One cycle. What it was allowed is frozen on the row; at most one is open per prompt."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+", db_index=False)
    prompt = models.ForeignKey(Prompt, on_delete=models.CASCADE, db_constraint=False, related_name="evolutions")
    parent_version = models.ForeignKey(
        PromptVersion, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    status = models.CharField(
        max_length=20,
        choices=EvolutionStatus.choices,
        default=EvolutionStatus.ASKING,
        db_default=EvolutionStatus.ASKING,
    )
    workflow_id = models.CharField(max_length=200)
    needs_approval = models.BooleanField()
    spending_cap_usd = usd()
    proposals = models.PositiveSmallIntegerField()
    mean_score = models.DecimalField(max_digits=6, decimal_places=5)
    runs_looked_at = models.PositiveIntegerField()
    sampled_run_ids = ArrayField(models.BigIntegerField())
    # The run that paid for the asking: its token, escrow and ledger rows.
    consultation = models.ForeignKey(
        AgentRun, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    answer = models.TextField(blank=True, default="", db_default="")
    analysis = models.TextField(blank=True, default="", db_default="")
    candidates = ShapedJSONField(default=list, db_default=[], blank=True, shape=list[Candidate])
    ab_test = models.ForeignKey(
        AbTest, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    decided_by = models.ForeignKey(User, null=True, blank=True, on_delete=models.SET_NULL, related_name="+")
    outcome = models.TextField(blank=True, default="", db_default="")
    ended_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        db_table = "evolutions"
        constraints: ClassVar = [
            one_of("status", EvolutionStatus, "evolutions_status_known"),
            models.UniqueConstraint(
                fields=["account", "prompt"], condition=Q(status__in=OPEN_EVOLUTIONS), name="evolutions_one_open"
            ),
            models.CheckConstraint(
                condition=Q(status__in=OPEN_EVOLUTIONS, ended_at__isnull=True)
                | (~Q(status__in=OPEN_EVOLUTIONS) & Q(ended_at__isnull=False)),
                name="evolutions_ended_has_time",
            ),
            TenantForeignKey(column="prompt_id", to="prompts", name="evolutions_prompt_fk", on_delete="CASCADE"),
            TenantForeignKey(
                column="parent_version_id", to="prompt_versions", name="evolutions_parent_fk", on_delete="CASCADE"
            ),
            TenantForeignKey(
                column="consultation_id", to="agent_runs", name="evolutions_consultation_fk", on_delete="SET NULL"
            ),
            TenantForeignKey(column="ab_test_id", to="ab_tests", name="evolutions_ab_test_fk", on_delete="SET NULL"),
        ]

    def __str__(self) -> str:
        return f"evolution {self.pk} of prompt {self.prompt_id}: {self.status}"
