"""Look at experiments, and carry out what a person or the rule decides."""

from django.db import connection, transaction
from django.utils import timezone

from accounts.models import User
from accounts.operations import record_audit_event
from metrics.experiments.decision import decide
from metrics.experiments.reading import read_experiment
from metrics.experiments.subjects import subjects_of
from metrics.experiments.units import Unit
from metrics.models import ExperimentReading, Proposal
from paid.lib.sql import statement
from paid.lib.tenancy import platform, tenant
from prompts.errors import PromptExists, WrongExperimentStatus
from prompts.experiments.operations import complete_experiment, pause_experiment, rule_of
from prompts.models import AbTest, AbTestStatus, AbVariant, Prompt
from prompts.operations import PromptText, create_prompt, promote

PROPOSED = "experiment.proposed"
_HARMFUL = (Proposal.STOP_HARM, Proposal.CHECK_SPLIT)


@transaction.atomic
def look_at_experiment(*, test: AbTest) -> ExperimentReading:
    """Read the experiment, keep the reading, and follow its rule. As often as anybody likes.

    A broken guardrail or split pauses a running experiment, whoever watches; that only brings everybody back to the
    current version. A winner is promoted without a person only if the rule says so.
    """
    locked = AbTest.objects.select_for_update(of=("self",)).get(pk=test.pk, account_id=test.account_id)
    variants = list(
        AbVariant.objects.filter(ab_test=locked, account_id=locked.account_id).order_by("-is_control", "pk")
    )
    computed_at = timezone.now()
    rule = rule_of(locked)
    reading = read_experiment(subjects_of(locked), variants, rule)
    decision = decide(reading, rule, Unit.of(locked))
    former = ExperimentReading.objects.filter(ab_test=locked).values_list("proposal", flat=True).first()
    kept, _ = ExperimentReading.objects.update_or_create(
        ab_test=locked,
        defaults={
            "account_id": locked.account_id,
            "computed_at": computed_at,
            "subjects_assigned": reading.assigned,
            "subjects_settled": reading.settled,
            "content": reading.model_dump(mode="json"),
            "proposal": decision.proposal,
            "proposed_variant_id": decision.variant_id,
            "reason": decision.reason,
        },
    )
    if decision.proposal not in (former, Proposal.WAIT):
        _audit(locked, kept)
    if locked.status == AbTestStatus.RUNNING and decision.proposal in _HARMFUL:
        pause_experiment(test=locked, actor=None, reason=decision.reason)
    elif (
        rule.promotes_automatically and locked.status == AbTestStatus.RUNNING and decision.proposal == Proposal.PROMOTE
    ):
        _conclude(locked, decision.variant_id, None, decision.reason)
    return kept


def look_at_experiments() -> list[int]:
    """Look at all of which something happened since; gives their ids. Each in a transaction and tenancy of its own."""
    with platform(), connection.cursor() as cursor:
        cursor.execute(statement("metrics", "experiment_subjects", "experiments_to_look_at"))
        wanted = cursor.fetchall()
    for test_id, account_id in wanted:
        with tenant(account_id):
            # It may have been deleted since.
            for test in AbTest.objects.filter(pk=test_id, account_id=account_id):
                look_at_experiment(test=test)
    return [test_id for test_id, _ in wanted]


@transaction.atomic
def conclude_experiment(*, test: AbTest, winner: AbVariant | None, actor: User, reason: str = "") -> None:
    """A person ends the experiment: the winner's version becomes current, or the control stays.

    Raises `WrongExperimentStatus`, and `PromptExists` when the account has a prompt of its own over the global one.
    """
    if winner is not None and (winner.ab_test_id, winner.account_id) != (test.pk, test.account_id):
        raise WrongExperimentStatus
    _conclude(test, winner.pk if winner else None, actor, reason or "Decided by a person.")


def _conclude(test: AbTest, winner_id: int | None, actor: User | None, reason: str) -> None:
    winner = AbVariant.objects.select_related("prompt_version").get(pk=winner_id) if winner_id else None
    wins = winner is not None and not winner.is_control
    complete_experiment(test=test, winner=winner if wins else None, actor=actor, reason=reason)
    if winner is not None and wins:
        _make_current(test, winner, actor)


def _make_current(test: AbTest, winner: AbVariant, actor: User | None) -> None:
    prompt = Prompt.objects.get(pk=test.prompt_id, account_id=test.prompt_account_id)
    version = winner.prompt_version
    if prompt.account_id == test.account_id:
        promote(prompt=prompt, version=version, actor=actor)
        return
    # What is global is not the account's to change: the account gets a prompt of its own, which is nearer.
    if Prompt.objects.filter(account_id=test.account_id, project=None, slug=prompt.slug).exists():
        raise PromptExists
    create_prompt(
        account_id=test.account_id,
        slug=prompt.slug,
        name=prompt.name,
        category=prompt.category,
        text=PromptText(version.template, version.system_prompt),
        actor=actor,
        description=prompt.description,
        change_notes=f"Version {version.version} of the global prompt, which won the experiment “{test.name}”",
    )


def _audit(test: AbTest, reading: ExperimentReading) -> None:
    record_audit_event(
        account_id=test.account_id,
        actor=None,
        action=PROPOSED,
        object_type="experiment",
        object_id=test.pk,
        data={
            "name": test.name,
            "proposal": str(reading.proposal),
            "variant_id": reading.proposed_variant_id,
            "reason": reading.reason,
            "subjects": reading.subjects_settled,
        },
    )
