"""Writes on evolution: its policy, and each cycle from the asking to the experiment's end. Every step is audited.

All of them are called inside of `tenant()` of the account. A cycle moves by compare-and-set, so a step that is done
twice, by two workers or by a person and a timer at once, is done once.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal

from django.db import IntegrityError, transaction
from django.db.models import Sum
from django.db.models.functions import Now

from accounts.models import User
from accounts.operations import record_audit_event
from agent_runs.models import AgentRun
from metrics.errors import EvolutionDecided, NoSuchProposal
from metrics.evolution.sample import sample_of
from metrics.models import OPEN_EVOLUTIONS, Candidate, Evolution, EvolutionPolicy, EvolutionStatus
from prompts.experiments.operations import Arm, create_experiment, pause_experiment, start_experiment
from prompts.experiments.rule import DecisionRule, Guardrail
from prompts.models import AbTest, AbTestStatus, ExperimentMetric, ExperimentOutcome, Prompt, PromptVersion
from prompts.operations import PromptText, save_version

AUTHOR_NOTE = "Proposed by a model"
# A treatment that makes runs fail by so much more is stopped, whoever watches.
FAILURE_TOLERANCE = 0.1
POLICY_SET = "evolution.policy_set"


@dataclass(frozen=True)
class PolicyTerms:
    is_on: bool
    needs_approval: bool
    spending_cap_usd: Decimal
    minimum_runs: int
    weak_below: Decimal
    proposals: int
    every_hours: int


@transaction.atomic
def set_policy(*, prompt: Prompt, terms: PolicyTerms, actor: User) -> EvolutionPolicy:
    """For an own prompt of the account. A cycle that is open keeps what it was started with."""
    policy, _ = EvolutionPolicy.objects.update_or_create(
        prompt=prompt, defaults={"account_id": prompt.account_id, **vars(terms)}
    )
    record_audit_event(
        account_id=prompt.account_id,
        actor=actor,
        action=POLICY_SET,
        object_type="prompt",
        object_id=prompt.pk,
        data={name: value if isinstance(value, bool | int) else str(value) for name, value in vars(terms).items()},
    )
    return policy


@transaction.atomic
def open_evolution(*, prompt: Prompt, workflow_id: str) -> Evolution | str:
    """A new cycle; else why there is none, in words for people.

    One that is open already is gone on with, from where it stands: a schedule starts no workflow while its last one
    lives, so the workflow that opened it is gone.
    """
    mine = Evolution.objects.filter(prompt=prompt, account_id=prompt.account_id, status__in=OPEN_EVOLUTIONS).first()
    if mine is not None:
        Evolution.objects.filter(pk=mine.pk).update(workflow_id=workflow_id)
        return mine
    policy = EvolutionPolicy.objects.filter(prompt=prompt, is_on=True).first()
    version = prompt.current_version
    if policy is None or version is None:
        return "Evolution is switched off for this prompt, or no version of it is in use."
    if AbTest.objects.filter(prompt=prompt, status__in=(AbTestStatus.RUNNING, AbTestStatus.PAUSED)).exists():
        return "An experiment on this prompt has not ended."
    sample = sample_of(version, prompt.account_id)
    if sample is None or sample.runs < policy.minimum_runs:
        return (
            f"Version {version.version} has {sample.runs if sample else 0} runs of {policy.minimum_runs} that it needs."
        )
    if sample.mean_score >= policy.weak_below:
        return f"Version {version.version} is not weak: its runs score {sample.mean_score:.3f} on average."
    evolution = Evolution(
        account_id=prompt.account_id,
        prompt=prompt,
        parent_version=version,
        workflow_id=workflow_id,
        needs_approval=policy.needs_approval,
        spending_cap_usd=policy.spending_cap_usd,
        proposals=policy.proposals,
        mean_score=sample.mean_score,
        runs_looked_at=sample.runs,
        sampled_run_ids=list(sample.worst_run_ids),
    )
    try:
        with transaction.atomic():
            evolution.save(force_insert=True)
    except IntegrityError as error:
        if "evolutions_one_open" in str(error):
            return "A cycle of this prompt is open already."
        raise
    _audit(evolution, "opened", None, {"mean_score": str(sample.mean_score), "runs": sample.runs})
    return evolution


@transaction.atomic
def keep_consultation(*, evolution: Evolution, run: AgentRun) -> None:
    Evolution.objects.filter(pk=evolution.pk, consultation=None).update(consultation=run)
    evolution.refresh_from_db()


@transaction.atomic
def keep_answer(*, evolution: Evolution, answer: str) -> None:
    """What was paid for is kept before anything is made of it. The first answer stands."""
    Evolution.objects.filter(pk=evolution.pk, status=EvolutionStatus.ASKING, answer="").update(
        answer=answer.replace("\0", "\ufffd")
    )
    evolution.refresh_from_db()


@transaction.atomic
def propose(*, evolution: Evolution, analysis: str, candidates: Sequence[Candidate]) -> bool:
    """Keep what was made of the answer; from now on it waits for a decision. Gives whether anything may be tried."""
    moved = Evolution.objects.filter(pk=evolution.pk, status=EvolutionStatus.ASKING).update(
        status=EvolutionStatus.PROPOSED, analysis=analysis, candidates=_as_json(candidates)
    )
    evolution.refresh_from_db()
    if moved:
        refused = [refusal for candidate in candidates for refusal in candidate.refusals]
        _audit(evolution, "proposed", None, {"proposals": len(candidates), "refusals": refused})
    return any(not candidate.refusals for candidate in candidates_of(evolution))


@transaction.atomic
def try_proposals(*, evolution: Evolution, chosen: Sequence[int], actor: User | None) -> AbTest:
    """Save the chosen proposals (positions from 0) as versions, and start an experiment with the parent as control.

    Raises `EvolutionDecided`, `NoSuchProposal`, `ExperimentRuns`; nothing is changed then.
    """
    locked = _lock(evolution)
    if locked.status != EvolutionStatus.PROPOSED:
        raise EvolutionDecided
    candidates = candidates_of(locked)
    if not chosen or any(not 0 <= at < len(candidates) or candidates[at].refusals for at in chosen):
        raise NoSuchProposal
    prompt = Prompt.objects.get(pk=locked.prompt_id, account_id=locked.account_id)
    if prompt.current_version_id != locked.parent_version_id:
        raise EvolutionDecided(
            "Another version is in use now than the one that these proposals improve. Reject them; the next cycle "
            "looks at the new one."
        )
    arms: list[Arm] = []
    for at in sorted(set(chosen)):
        version = _saved(prompt, locked, candidates[at], actor)
        candidates[at] = candidates[at].model_copy(update={"version_id": version.pk})
        arms.append(Arm(version, f"v{version.version}"))
    test = _experiment(prompt, locked, arms, actor)
    locked.status, locked.ab_test, locked.decided_by = EvolutionStatus.TESTING, test, actor
    locked.candidates = _as_json(candidates)
    locked.save(update_fields=["status", "ab_test", "decided_by", "candidates"])
    _audit(locked, "tried", actor, {"experiment_id": test.pk, "versions": [arm.version.version for arm in arms]})
    evolution.refresh_from_db()
    return test


@transaction.atomic
def reject_proposals(*, evolution: Evolution, actor: User) -> None:
    """Raises `EvolutionDecided`."""
    if not _end(evolution, EvolutionStatus.PROPOSED, EvolutionStatus.REJECTED, "Nothing of it was tried.", actor):
        raise EvolutionDecided


@transaction.atomic
def give_up(*, evolution: Evolution, status: EvolutionStatus, reason: str) -> bool:
    """End a cycle that has started no experiment; False when it is over, or tests already."""
    return any(
        _end(evolution, former, status, reason, None) for former in (EvolutionStatus.ASKING, EvolutionStatus.PROPOSED)
    )


@transaction.atomic
def follow_experiment(*, evolution: Evolution) -> bool:
    """Take over how the experiment ended, or pause it when the cycle has spent its cap. Gives whether it goes on."""
    locked = _lock(evolution)
    if locked.status != EvolutionStatus.TESTING:
        return locked.status in OPEN_EVOLUTIONS
    test = AbTest.objects.select_related("winner__prompt_version").filter(pk=locked.ab_test_id or 0).first()
    if test is None:
        _end(locked, EvolutionStatus.TESTING, EvolutionStatus.KEPT, "The experiment was deleted.", None)
        return False
    if test.status == AbTestStatus.COMPLETED:
        has_won = test.outcome == ExperimentOutcome.PROMOTED
        status = EvolutionStatus.PROMOTED if has_won else EvolutionStatus.KEPT
        _end(locked, EvolutionStatus.TESTING, status, test.decision_reason, test.decided_by)
        return False
    spent = spent_usd(locked)
    if spent < locked.spending_cap_usd:
        return True
    reason = f"{spent:.2f} USD are spent, and the cap of this cycle is {locked.spending_cap_usd:.2f} USD."
    if test.status == AbTestStatus.RUNNING:
        pause_experiment(test=test, actor=None, reason=reason)
    _end(locked, EvolutionStatus.TESTING, EvolutionStatus.CAPPED, reason, None)
    return False


def spent_usd(evolution: Evolution) -> Decimal:
    """What the cycle has cost, by the ledger's sums: the asking, and every run that got a proposal."""
    asked = AgentRun.objects.filter(pk=evolution.consultation_id or 0).aggregate(cost=Sum("cost_usd"))["cost"]
    tried = AgentRun.objects.filter(
        account_id=evolution.account_id, ab_variant__ab_test_id=evolution.ab_test_id, ab_variant__is_control=False
    )
    cost = tried.aggregate(cost=Sum("cost_usd"))["cost"] if evolution.ab_test_id else None
    return Decimal(asked or 0) + Decimal(cost or 0)


def waiting_proposals(prompt: Prompt, account_id: int) -> int:
    """How many proposals wait for a person that may be tried."""
    waiting = Evolution.objects.filter(prompt=prompt, account_id=account_id, status=EvolutionStatus.PROPOSED).first()
    return 0 if waiting is None else sum(not candidate.refusals for candidate in candidates_of(waiting))


def candidates_of(evolution: Evolution) -> list[Candidate]:
    return [Candidate.model_validate(entry) for entry in evolution.candidates]


def _saved(prompt: Prompt, evolution: Evolution, candidate: Candidate, actor: User | None) -> PromptVersion:
    return save_version(
        prompt=prompt,
        text=PromptText(candidate.template, candidate.system_prompt),
        actor=actor,
        expected_parent=evolution.parent_version,
        change_notes=f"{AUTHOR_NOTE}: {candidate.reason}"[:1_000],
        is_promoted=False,
    ).version


def _experiment(prompt: Prompt, evolution: Evolution, arms: Sequence[Arm], actor: User | None) -> AbTest:
    """Its winner is promoted without a person only where the policy wants none."""
    test = create_experiment(
        account_id=evolution.account_id,
        prompt=prompt,
        name=f"Evolution {evolution.pk} of {prompt.slug}"[:200],
        control=Arm(evolution.parent_version, f"v{evolution.parent_version.version}"),
        treatments=arms,
        metric=ExperimentMetric.QUALITY_SCORE,
        actor=actor,
        rule=DecisionRule(
            promotes_automatically=not evolution.needs_approval,
            guardrails=(Guardrail(metric="failure_rate", tolerance=FAILURE_TOLERANCE),),
        ),
        hypothesis=evolution.analysis,
    )
    # Raises ExperimentRuns for a person's experiment that began in between.
    start_experiment(test=test, actor=actor)
    return test


def _lock(evolution: Evolution) -> Evolution:
    rows = Evolution.objects.select_for_update(of=("self",)).select_related("parent_version")
    return rows.get(pk=evolution.pk, account_id=evolution.account_id)


def _end(
    evolution: Evolution, former: EvolutionStatus, status: EvolutionStatus, outcome: str, actor: User | None
) -> bool:
    ended = Evolution.objects.filter(pk=evolution.pk, account_id=evolution.account_id, status=former).update(
        status=status, outcome=outcome, ended_at=Now(), **({"decided_by": actor} if actor else {})
    )
    evolution.refresh_from_db()
    if ended:
        _audit(evolution, str(status), actor, {"outcome": outcome})
    return ended == 1


def _as_json(candidates: Sequence[Candidate]) -> list[dict[str, object]]:
    return [candidate.model_dump(mode="json") for candidate in candidates]


def _audit(evolution: Evolution, what: str, actor: User | None, data: Mapping[str, object]) -> None:
    record_audit_event(
        account_id=evolution.account_id,
        actor=actor,
        action=f"evolution.{what}",
        object_type="evolution",
        object_id=evolution.pk,
        data={"prompt_id": evolution.prompt_id, "parent_version_id": evolution.parent_version_id, **data},
    )
