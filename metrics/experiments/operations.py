"""Look at experiments, and carry out what a person or the rule decides."""

import logging

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

logger = logging.getLogger(__name__)

PROPOSED = "experiment.proposed"
_HARMFUL = (Proposal.STOP_HARM, Proposal.CHECK_SPLIT)


@transaction.atomic
def look_at_experiment(*, test: AbTest) -> ExperimentReading:
    """Read the experiment, keep the reading, and follow its rule. As often as anybody likes.

    A broken guardrail or split pauses a running experiment, whoever watches; that only brings everybody back to the
    current version. A winner is promoted without a person only if the rule says so, and only in the place of the
    control: when somebody changed the prompt meanwhile, the proposal waits for a person, and its reason says why.
    """
    locked = AbTest.objects.select_for_update(of=("self",)).get(pk=test.pk, account_id=test.account_id)
    variants = list(
        AbVariant.objects.filter(ab_test=locked, account_id=locked.account_id).order_by("-is_control", "pk")
    )
    computed_at = timezone.now()
    rule = rule_of(locked)
    reading = read_experiment(subjects_of(locked), variants, rule)
    decision = decide(reading, rule, Unit.of(locked))
    is_automatic = (
        rule.promotes_automatically and locked.status == AbTestStatus.RUNNING and decision.proposal == Proposal.PROMOTE
    )
    objection = _objection(locked, variants) if is_automatic else ""
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
            "reason": f"{decision.reason} {objection}".rstrip(),
        },
    )
    if decision.proposal not in (former, Proposal.WAIT):
        _audit(locked, kept)
    if locked.status == AbTestStatus.RUNNING and decision.proposal in _HARMFUL:
        pause_experiment(test=locked, actor=None, reason=decision.reason)
    elif is_automatic and not objection:
        _conclude(locked, decision.variant_id, None, decision.reason)
    return kept


def look_at_experiments() -> list[int]:
    """Look at all of which something happened since; gives the ids of those that could be looked at.

    Each in a transaction and tenancy of its own: one that cannot be read is logged, and asked again the next time.
    """
    with platform(), connection.cursor() as cursor:
        cursor.execute(statement("metrics", "experiment_subjects", "experiments_to_look_at"))
        wanted = cursor.fetchall()
    looked_at = []
    for test_id, account_id in wanted:
        try:
            with tenant(account_id):
                # It may have been deleted since.
                for test in AbTest.objects.filter(pk=test_id, account_id=account_id):
                    look_at_experiment(test=test)
            looked_at.append(test_id)
        except Exception:  # whatever is wrong with one tenant's experiment, the others' must still be looked at
            logger.exception("Experiment %s could not be looked at", test_id)
    return looked_at


@transaction.atomic
def conclude_experiment(*, test: AbTest, winner: AbVariant | None, actor: User, reason: str = "") -> None:
    """A person ends the experiment: the winner's version becomes current, or the control stays.

    Raises `WrongExperimentStatus`, and `PromptExists` when the account has a prompt of its own over the global one.
    """
    if winner is not None and (winner.ab_test_id, winner.account_id) != (test.pk, test.account_id):
        raise WrongExperimentStatus
    _conclude(test, winner.pk if winner else None, actor, reason or "Decided by a person.")


def _objection(test: AbTest, variants: list[AbVariant]) -> str:
    """Why the rule may not promote by itself now; empty when it may.

    Locks the account's own prompt, so that nobody changes it between this answer and the promotion.
    """
    prompts = Prompt.objects.filter(pk=test.prompt_id, account_id=test.prompt_account_id)
    if test.prompt_account_id == test.account_id:
        prompt = prompts.select_for_update(of=("self",)).get()
    else:
        # A tenant may not lock what is global; it is not changed here either.
        prompt = prompts.get()
        if _has_own(test, prompt):
            return "Not promoted by itself: the account has a prompt of its own over the global one. Edit that one."
    if prompt.current_version_id is None:
        return "Not promoted by itself: the prompt is withdrawn, so a person decides."
    control = next(variant for variant in variants if variant.is_control)
    if prompt.current_version_id != control.prompt_version_id:
        return "Not promoted by itself: another version than the control is current, so a person decides."
    return ""


def _has_own(test: AbTest, prompt: Prompt) -> bool:
    return Prompt.objects.filter(account_id=test.account_id, project=None, slug=prompt.slug).exists()


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
    if _has_own(test, prompt):
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
