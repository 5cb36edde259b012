"""What an experiment says so far."""

from typing import ClassVar

from django.db import models
from django.db.models import Q

from accounts.models import Account
from paid.lib.columns import Changed
from paid.lib.constraints import TenantForeignKey, one_of
from prompts.models import AbTest, AbVariant


class Proposal(models.TextChoices):
    """What the rule of an experiment makes of its reading."""

    WAIT = "wait", "Keep collecting"
    PROMOTE = "promote", "Promote a variant"
    KEEP_CONTROL = "keep_control", "Keep the control"
    STOP_HARM = "stop_harm", "Stop: a guardrail is broken"
    CHECK_SPLIT = "check_split", "Stop: the split is not as set"

    @property
    def colour(self) -> str:
        """Tabler's colour name."""
        return _COLOURS[self]


_COLOURS = {
    Proposal.WAIT: "blue",
    Proposal.PROMOTE: "green",
    Proposal.KEEP_CONTROL: "secondary",
    Proposal.STOP_HARM: "red",
    Proposal.CHECK_SPLIT: "orange",
}


class ExperimentReading(Changed):
    """The last look at an experiment; every look is valid, so one row is enough."""

    account = models.ForeignKey(Account, on_delete=models.CASCADE, related_name="+")
    ab_test = models.OneToOneField(AbTest, on_delete=models.CASCADE, db_constraint=False, related_name="reading")
    computed_at = models.DateTimeField()
    subjects_assigned = models.PositiveIntegerField()
    subjects_settled = models.PositiveIntegerField()
    content = models.JSONField()  # metrics.experiments.reading.Reading
    proposal = models.CharField(max_length=20, choices=Proposal.choices)
    proposed_variant = models.ForeignKey(
        AbVariant, null=True, blank=True, on_delete=models.DO_NOTHING, db_constraint=False, related_name="+"
    )
    reason = models.TextField()

    class Meta:
        db_table = "ab_test_readings"
        constraints: ClassVar = [
            one_of("proposal", Proposal, "ab_test_readings_proposal_known"),
            models.CheckConstraint(
                condition=Q(subjects_settled__lte=models.F("subjects_assigned")), name="ab_test_readings_settled_of_all"
            ),
            models.CheckConstraint(
                condition=~Q(proposal="promote") | Q(proposed_variant__isnull=False),
                name="ab_test_readings_promotes_somebody",
            ),
            TenantForeignKey(
                column="ab_test_id", to="ab_tests", name="ab_test_readings_ab_test_fk", on_delete="CASCADE"
            ),
            TenantForeignKey(
                column="proposed_variant_id", to="ab_variants", name="ab_test_readings_variant_fk", on_delete="CASCADE"
            ),
        ]

    def __str__(self) -> str:
        return f"reading of experiment {self.ab_test_id}"
