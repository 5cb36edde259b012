"""Writes on experiments up to their end. What is read from them, and their decision, is in metrics.experiments."""

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models.functions import Now
from pydantic import ValidationError

from accounts.models import User
from accounts.operations import record_audit_event
from prompts.errors import ExperimentRefused, ExperimentRuns, VersionNotOfPrompt, WrongExperimentStatus
from prompts.experiments.rule import DecisionRule
from prompts.models import AbTest, AbTestStatus, AbVariant, ExperimentMetric, ExperimentOutcome, Prompt, PromptVersion

CREATED = "experiment.created"
CHANGED = "experiment.changed"
STARTED = "experiment.started"
PAUSED = "experiment.paused"
RESUMED = "experiment.resumed"
COMPLETED = "experiment.completed"
DELETED = "experiment.deleted"
MOST_WEIGHT = 1_000_000
_WEIGHT_REFUSED = "A weight is a whole number from 1 to 1,000,000."


@dataclass(frozen=True)
class Arm:
    """One variant as it is asked for. Weights are relative to each other."""

    version: PromptVersion
    name: str
    weight: int = 1


@dataclass(frozen=True)
class Shares:
    """Of all issues, those who take part, and those who are kept out of every experiment."""

    traffic: Decimal = Decimal(1)
    holdout: Decimal = Decimal(0)


@transaction.atomic
def create_experiment(
    *,
    account_id: int,
    prompt: Prompt,
    name: str,
    control: Arm,
    treatments: Sequence[Arm],
    metric: ExperimentMetric | str,
    actor: User | None,
    metric_cap: Decimal | None = None,
    shares: Shares = Shares(),
    rule: DecisionRule | None = None,
    hypothesis: str = "",
) -> AbTest:
    """A draft. Raises `ExperimentRefused` with what is wrong, `VersionNotOfPrompt`."""
    arms = (control, *treatments)
    _refuse_arms(prompt, arms)
    if ExperimentMetric(metric).has_cap and not metric_cap:
        raise ExperimentRefused(
            "Costs and iterations have no natural bound: say from where on they count as the worst."
        )
    test = AbTest(
        account_id=account_id,
        prompt=prompt,
        prompt_account_id=prompt.account_id,
        name=name,
        hypothesis=hypothesis,
        metric=metric,
        metric_cap=metric_cap if ExperimentMetric(metric).has_cap else None,
        traffic_share=shares.traffic,
        holdout_share=shares.holdout,
        # Nobody can choose an issue so that it falls into an arm.
        salt=secrets.token_hex(16),
        rule=(rule or DecisionRule()).model_dump(mode="json"),
        created_by=actor,
    )
    test.save(force_insert=True)
    for arm in arms:
        AbVariant(
            account_id=account_id,
            ab_test=test,
            version_account_id=arm.version.account_id,
            prompt_version=arm.version,
            name=arm.name,
            weight=arm.weight,
            is_control=arm is control,
        ).save(force_insert=True)
    _audit(test, CREATED, actor, {"metric": str(metric), "arms": [arm.name for arm in arms]})
    return test


@transaction.atomic
def change_draft(*, test: AbTest, name: str, hypothesis: str, weights: Mapping[int, int], actor: User | None) -> None:
    """Words and weights (by variant id) of a draft. Raises `WrongExperimentStatus`, `ExperimentRefused`."""
    if any(not 0 < weight <= MOST_WEIGHT for weight in weights.values()):
        raise ExperimentRefused(_WEIGHT_REFUSED)
    drafts = AbTest.objects.filter(pk=test.pk, account_id=test.account_id, status=AbTestStatus.DRAFT)
    # The update locks the row: who starts it now waits, and then starts what was saved.
    if not drafts.update(name=name, hypothesis=hypothesis):
        raise WrongExperimentStatus
    for variant_id, weight in sorted(weights.items()):
        AbVariant.objects.filter(pk=variant_id, account_id=test.account_id, ab_test=test).update(weight=weight)
    test.refresh_from_db()
    _audit(test, CHANGED, actor, {})


@transaction.atomic
def start_experiment(*, test: AbTest, actor: User | None) -> None:
    """From now on issues are assigned. Raises `ExperimentRuns`, `WrongExperimentStatus`."""
    _move(test, AbTestStatus.DRAFT, AbTestStatus.RUNNING, actor, STARTED, started_at=Now())


@transaction.atomic
def pause_experiment(*, test: AbTest, actor: User | None, reason: str = "") -> None:
    """New issues get the current version; assigned ones keep counting. Raises `WrongExperimentStatus`."""
    _move(test, AbTestStatus.RUNNING, AbTestStatus.PAUSED, actor, PAUSED, reason=reason)


@transaction.atomic
def resume_experiment(*, test: AbTest, actor: User | None) -> None:
    """Raises `ExperimentRuns`, `WrongExperimentStatus`."""
    _move(test, AbTestStatus.PAUSED, AbTestStatus.RUNNING, actor, RESUMED)


@transaction.atomic
def complete_experiment(*, test: AbTest, winner: AbVariant | None, actor: User | None, reason: str) -> None:
    """End it for good. No winner keeps the control. Promotes nothing: that is `metrics.experiments`' part.

    Raises `WrongExperimentStatus` when it has ended already, or has not begun.
    """
    outcome = ExperimentOutcome.PROMOTED if winner else ExperimentOutcome.CONTROL_KEPT
    for former in (AbTestStatus.RUNNING, AbTestStatus.PAUSED):
        if AbTest.objects.filter(pk=test.pk, account_id=test.account_id, status=former).update(
            status=AbTestStatus.COMPLETED,
            outcome=outcome,
            winner=winner,
            decided_by=actor,
            decision_reason=reason,
            ended_at=Now(),
        ):
            test.refresh_from_db()
            name = winner.name if winner else ""
            _audit(test, COMPLETED, actor, {"outcome": str(outcome), "winner": name, "reason": reason})
            return
    raise WrongExperimentStatus


@transaction.atomic
def delete_experiment(*, test: AbTest, actor: User | None) -> None:
    """Remove a draft; what has begun is history and stays. Raises `WrongExperimentStatus`."""
    _audit(test, DELETED, actor, {})
    deleted, _ = AbTest.objects.filter(pk=test.pk, account_id=test.account_id, status=AbTestStatus.DRAFT).delete()
    if not deleted:
        raise WrongExperimentStatus


def rule_from(values: Mapping[str, object]) -> DecisionRule:
    """The rule that a form or a file asks for. Raises `ExperimentRefused` with a line for each mistake."""
    try:
        return DecisionRule.model_validate(values)
    except ValidationError as error:
        lines = (f"{'.'.join(map(str, part['loc'])) or 'rule'}: {part['msg']}" for part in error.errors())
        raise ExperimentRefused("\n".join(lines)) from None


def rule_of(test: AbTest) -> DecisionRule:
    return DecisionRule.model_validate(test.rule)


def _refuse_arms(prompt: Prompt, arms: Sequence[Arm]) -> None:
    if len(arms) < 2:
        raise ExperimentRefused("An experiment compares the control with at least one other version.")
    for arm in arms:
        if (arm.version.account_id, arm.version.prompt_id) != (prompt.account_id, prompt.pk):
            raise VersionNotOfPrompt
    if len({arm.version.pk for arm in arms}) < len(arms):
        raise ExperimentRefused("Two variants have the same version: there is nothing to compare.")
    if len({arm.name for arm in arms}) < len(arms):
        raise ExperimentRefused("Two variants have the same name.")
    if any(not 0 < arm.weight <= MOST_WEIGHT for arm in arms):
        raise ExperimentRefused(_WEIGHT_REFUSED)


def _move(
    test: AbTest,
    former: AbTestStatus,
    status: AbTestStatus,
    actor: User | None,
    action: str,
    *,
    reason: str = "",
    **fields: object,
) -> None:
    try:
        with transaction.atomic():
            moved = AbTest.objects.filter(pk=test.pk, account_id=test.account_id, status=former).update(
                status=status, **fields
            )
    except IntegrityError as error:
        if "ab_tests_one_running" in str(error):
            raise ExperimentRuns from error
        raise
    if not moved:
        raise WrongExperimentStatus
    test.refresh_from_db()
    _audit(test, action, actor, {"reason": reason} if reason else {})


def _audit(test: AbTest, action: str, actor: User | None, data: Mapping[str, object]) -> None:
    record_audit_event(
        account_id=test.account_id,
        actor=actor,
        action=action,
        object_type="experiment",
        object_id=test.pk,
        data={"name": test.name, "prompt_id": test.prompt_id, **data},
    )
