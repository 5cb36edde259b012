"""A reading is what the settled subjects say; the rule follows it, and people may."""

from datetime import timedelta
from decimal import Decimal

import numpy as np
import pytest
from django.utils import timezone

from accounts.models import AuditEvent
from agent_runs.models import RunStatus
from metrics.experiments.decision import decide
from metrics.experiments.operations import conclude_experiment, look_at_experiment, look_at_experiments
from metrics.experiments.reading import read_experiment
from metrics.experiments.subjects import Subjects, subjects_of
from metrics.models import ExperimentReading, Proposal
from paid.lib.tenancy import platform, tenant
from prompts.errors import PromptExists, WrongExperimentStatus
from prompts.experiments.operations import Arm, create_experiment, start_experiment
from prompts.experiments.rule import DecisionRule, Guardrail
from prompts.models import AbTest, AbTestStatus, AbVariant, Prompt
from prompts.operations import promote, withdraw
from tests.factories.accounts import account_with_owner
from tests.factories.agent_runs import AgentRunFactory, finished_run
from tests.factories.metrics import QualityMetricFactory
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import PromptVersionFactory, global_prompt, prompt_with_version

CONTROL, TREATMENT, SECOND = 11, 12, 13
ARMS = [
    AbVariant(id=CONTROL, name="control", weight=1, is_control=True),
    AbVariant(id=TREATMENT, name="shorter", weight=1),
]


def population(count: int, effect: float, *, seed: int = 5, treated_cost: float = 1.0, treated_failures: float = 0.0):
    random = np.random.default_rng(seed)
    treated = random.random(count) < 0.5
    return Subjects(
        variants=np.where(treated, TREATMENT, CONTROL),
        outcomes=np.clip(random.normal(0.5, 0.15, count) + effect * treated, 0, 1),
        is_settled=np.ones(count, dtype=bool),
        has_failed=treated & (random.random(count) < treated_failures),
        costs=np.where(treated, treated_cost, 1.0) + random.normal(0, 0.1, count),
        covariates=np.zeros((count, 2)),
        unscored=0,
    )


def proposal(subjects: Subjects, **rule) -> Proposal:
    made = DecisionRule(**rule)
    return decide(read_experiment(subjects, ARMS, made), made).proposal


def test_a_better_variant_is_proposed() -> None:
    rule = DecisionRule()
    reading = read_experiment(population(800, 0.1), ARMS, rule)
    decision = decide(reading, rule)
    assert (decision.proposal, decision.variant_id) == (Proposal.PROMOTE, TREATMENT)
    (comparison,) = reading.comparisons
    assert comparison.is_better
    assert 0 < comparison.lower < 0.1 < comparison.upper
    assert comparison.effect == pytest.approx(0.1, abs=0.03)
    assert comparison.probability_to_beat == pytest.approx(1, abs=1e-6)
    assert [point.subjects for point in comparison.path][-1] == 800
    assert reading.split_p_value > 0.01


def test_nothing_is_proposed_before_each_arm_has_enough() -> None:
    assert proposal(population(800, 0.1), minimum_subjects=600, maximum_subjects=5000) == Proposal.WAIT


def test_an_effect_that_is_not_worth_it_is_not_proposed() -> None:
    assert proposal(population(800, 0.1), smallest_worthwhile_effect=0.09) == Proposal.WAIT
    assert proposal(population(3000, 0.02), smallest_worthwhile_effect=0.09) == Proposal.KEEP_CONTROL


def test_a_worse_variant_leaves_the_control() -> None:
    assert proposal(population(800, -0.1)) == Proposal.KEEP_CONTROL


def test_it_ends_with_the_largest_number_of_subjects() -> None:
    assert proposal(population(100, 0.0), maximum_subjects=100) == Proposal.KEEP_CONTROL
    assert proposal(population(99, 0.0), maximum_subjects=100) == Proposal.WAIT


def test_a_guardrail_on_costs_stops_a_variant_that_is_better_but_dear() -> None:
    guard = Guardrail(metric="cost", cap_usd=Decimal(4), tolerance=0.1)
    assert proposal(population(800, 0.1, treated_cost=2.0), guardrails=(guard,)) == Proposal.STOP_HARM
    assert proposal(population(800, 0.1, treated_cost=1.1), guardrails=(guard,)) == Proposal.PROMOTE


def test_a_guardrail_on_failures_stops_a_variant_that_breaks() -> None:
    guard = Guardrail(metric="failure_rate", tolerance=0.05)
    assert proposal(population(800, 0.1, treated_failures=0.3), guardrails=(guard,)) == Proposal.STOP_HARM


def test_a_split_that_is_not_as_set_stops_everything() -> None:
    whole = population(1200, 0.1)
    kept = np.flatnonzero((whole.variants == TREATMENT) | (np.arange(1200) % 3 != 0))
    lossy = Subjects(
        whole.variants[kept],
        whole.outcomes[kept],
        whole.is_settled[kept],
        whole.has_failed[kept],
        whole.costs[kept],
        whole.covariates[kept],
        0,
    )
    assert proposal(lossy) == Proposal.CHECK_SPLIT


def test_two_treatments_share_alpha() -> None:
    three = [*ARMS, AbVariant(id=SECOND, name="longer", weight=1)]
    alone = read_experiment(population(400, 0.05), ARMS, DecisionRule()).comparisons[0]
    shared = read_experiment(population(400, 0.05), three, DecisionRule()).comparisons
    assert [one.name for one in shared] == ["shorter", "longer"]
    assert shared[0].upper - shared[0].lower > alone.upper - alone.lower


def test_an_experiment_without_subjects_can_be_looked_at() -> None:
    reading = read_experiment(population(0, 0), ARMS, DecisionRule(guardrails=(Guardrail(metric="failure_rate"),)))
    assert (reading.assigned, reading.split_p_value, reading.comparisons[0].effect) == (0, 1.0, None)
    assert decide(reading, DecisionRule()).proposal == Proposal.WAIT


@pytest.fixture
def account():
    return account_with_owner()[0]


@pytest.fixture
def owner(account):
    with platform():
        return account.memberships.get().user


def running(account, owner, prompt: Prompt, **fields) -> tuple[AbTest, AbVariant, AbVariant]:
    newer = PromptVersionFactory(prompt=prompt, version=2, template="treatment")
    assert prompt.current_version is not None
    with tenant(account.pk):
        test = create_experiment(
            account_id=account.pk,
            prompt=prompt,
            name="Shorter",
            control=Arm(prompt.current_version, "control"),
            treatments=[Arm(newer, "shorter")],
            actor=owner,
            **{"metric": "quality_score", **fields},
        )
        start_experiment(test=test, actor=owner)
        variants = {
            variant.is_control: variant
            for variant in AbVariant.objects.filter(ab_test=test).select_related("prompt_version")
        }
    return test, variants[True], variants[False]


def ended(project, variant, *, score: str | None = "0.5", merged: bool | None = True, days_ago: int = 0, **run):
    at = timezone.now() - timedelta(days=days_ago)
    made = finished_run(
        project=project, ab_variant=variant, prompt_version=variant.prompt_version, finished_at=at, started_at=at, **run
    )
    QualityMetricFactory(
        agent_run=made,
        ab_variant_id=variant.pk,
        is_merged=merged,
        quality_score=None if score is None else Decimal(score),
    )
    return made


def prompt_of(account) -> Prompt:
    return prompt_with_version(account=account, slug="coding.x", template="control")


@pytest.mark.django_db
def test_subjects_count_in_order_up_to_the_first_without_an_outcome(account, owner):
    test, control, treatment = running(account, owner, prompt_of(account))
    project = ProjectFactory(account=account)
    ended(project, control, score="0.8")
    ended(project, treatment, status=RunStatus.FAILED, score=None, merged=None)
    ended(project, treatment, score="0.6", merged=None, days_ago=8)
    ended(project, control, score=None, merged=None, days_ago=8)
    ended(project, control, score="0.9", merged=None, days_ago=6)
    ended(project, treatment, score="0.7")
    with tenant(account.pk):
        subjects = subjects_of(test)
    assert list(subjects.variants) == [v.pk for v in (control, treatment, treatment, control, control, treatment)]
    assert list(subjects.outcomes[:4]) == [0.8, 0.0, 0.6, 0.0]
    assert list(subjects.is_settled) == [True, True, True, True, False, True]
    assert (subjects.settled_prefix(), subjects.unscored) == (4, 1)
    assert list(subjects.has_failed) == [False, True, False, False, False, False]


@pytest.mark.django_db
def test_the_first_run_of_an_issue_decides(account, owner):
    test, control, _ = running(account, owner, prompt_of(account))
    first = ended(ProjectFactory(account=account), control, score="0.2")
    ended(first.project, control, score="0.9", issue=first.issue)
    with tenant(account.pk):
        assert list(subjects_of(test).outcomes) == [0.2]


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("metric", "cap", "expected"), [("cost", 4, 0.75), ("iterations", 20, 0.6), ("merge_rate", None, 1.0)]
)
def test_every_metric_becomes_an_outcome_where_larger_is_better(account, owner, metric, cap, expected):
    test, control, _ = running(account, owner, prompt_of(account), metric=metric, metric_cap=cap and Decimal(cap))
    ended(ProjectFactory(account=account), control, cost_usd=Decimal(1), iterations=8)
    with tenant(account.pk):
        assert list(subjects_of(test).outcomes) == [expected]


@pytest.mark.django_db
def test_another_tenant_sees_nothing_of_it(account, owner):
    test, control, _ = running(account, owner, prompt_of(account))
    ended(ProjectFactory(account=account), control)
    with tenant(account.pk):
        look_at_experiment(test=test)
    other, _ = account_with_owner()
    with tenant(other.pk):
        assert len(subjects_of(test).outcomes) == 0
        assert ExperimentReading.objects.count() == 0


@pytest.mark.django_db
def test_experiments_are_looked_at_when_something_happened(account, owner):
    test, control, _ = running(account, owner, prompt_of(account))
    run = ended(ProjectFactory(account=account), control)
    assert test.pk in look_at_experiments()
    with platform():
        ExperimentReading.objects.filter(ab_test=test).update(computed_at=timezone.now() + timedelta(minutes=1))
    assert test.pk not in look_at_experiments()
    AgentRunFactory(project=run.project, ab_variant=control, prompt_version=control.prompt_version)
    with platform():
        ExperimentReading.objects.filter(ab_test=test).update(computed_at=timezone.now() - timedelta(minutes=5))
    assert test.pk in look_at_experiments()
    with platform():
        reading = ExperimentReading.objects.get(ab_test=test)
    assert (reading.subjects_assigned, reading.subjects_settled, reading.proposal) == (2, 1, Proposal.WAIT)


def quick_rule(**fields) -> DecisionRule:
    return DecisionRule(minimum_subjects=2, maximum_subjects=5000, is_adjusted=False, **fields)


def clear_win(account, control, treatment, runs: int = 40) -> None:
    project = ProjectFactory(account=account)
    for number in range(runs):
        variant, score = (treatment, "0.95") if number % 2 else (control, "0.05")
        ended(project, variant, score=score)


@pytest.mark.django_db
def test_a_person_has_the_last_word_by_default(account, owner):
    prompt = prompt_of(account)
    test, control, treatment = running(account, owner, prompt, rule=quick_rule())
    clear_win(account, control, treatment)
    with tenant(account.pk):
        reading = look_at_experiment(test=test)
        look_at_experiment(test=test)
        test.refresh_from_db()
        prompt.refresh_from_db()
        assert (reading.proposal, reading.proposed_variant_id) == (Proposal.PROMOTE, treatment.pk)
        assert (test.status, prompt.current_version_id) == (AbTestStatus.RUNNING, control.prompt_version_id)
        conclude_experiment(test=test, winner=treatment, actor=owner)
        prompt.refresh_from_db()
        test.refresh_from_db()
    assert prompt.current_version_id == treatment.prompt_version_id
    assert (test.status, test.outcome, test.winner_id, test.decided_by_id) == (
        AbTestStatus.COMPLETED,
        "promoted",
        treatment.pk,
        owner.pk,
    )
    with platform():
        proposed = AuditEvent.objects.filter(account_id=account.pk, action="experiment.proposed")
        assert [event.data["variant_id"] for event in proposed] == [treatment.pk]
    with tenant(account.pk), pytest.raises(WrongExperimentStatus):
        conclude_experiment(test=test, winner=None, actor=owner)


@pytest.mark.django_db
def test_the_rule_promotes_by_itself_when_it_says_so(account, owner):
    prompt = prompt_of(account)
    test, control, treatment = running(account, owner, prompt, rule=quick_rule(promotes_automatically=True))
    clear_win(account, control, treatment)
    with tenant(account.pk):
        look_at_experiment(test=test)
        test.refresh_from_db()
        prompt.refresh_from_db()
    assert (test.status, test.winner_id, test.decided_by_id) == (AbTestStatus.COMPLETED, treatment.pk, None)
    assert prompt.current_version_id == treatment.prompt_version_id
    with platform():
        actors = AuditEvent.objects.filter(
            account_id=account.pk, action__in=["experiment.completed", "prompt.promoted"]
        )
        assert {event.actor for event in actors} == {"Paid"}
        assert actors.count() == 2


@pytest.mark.django_db
def test_harm_pauses_the_experiment_whoever_watches(account, owner):
    rule = quick_rule(guardrails=(Guardrail(metric="failure_rate", tolerance=0.05),))
    test, control, treatment = running(account, owner, prompt_of(account), rule=rule)
    project = ProjectFactory(account=account)
    for number in range(60):
        variant = treatment if number % 2 else control
        ended(project, variant, status=RunStatus.FAILED if number % 2 else RunStatus.COMPLETED)
    with tenant(account.pk):
        reading = look_at_experiment(test=test)
        test.refresh_from_db()
    assert (reading.proposal, test.status) == (Proposal.STOP_HARM, AbTestStatus.PAUSED)


@pytest.mark.django_db
def test_a_winner_over_a_global_prompt_becomes_the_accounts_own(account, owner):
    shared = global_prompt(slug="coding.shared", template="control")
    test, _, treatment = running(account, owner, shared)
    with tenant(account.pk):
        conclude_experiment(test=test, winner=treatment, actor=owner)
        own = Prompt.objects.select_related("current_version").get(account_id=account.pk, slug="coding.shared")
        shared.refresh_from_db()
    assert own.current_version is not None
    assert (own.scope, own.current_version.template) == ("account", "treatment")
    assert shared.current_version_id != treatment.prompt_version_id


@pytest.mark.django_db
def test_a_winner_does_not_replace_a_prompt_that_was_written_meanwhile(account, owner):
    shared = global_prompt(slug="coding.shared", template="control")
    test, _, treatment = running(account, owner, shared)
    prompt_with_version(account=account, slug="coding.shared", template="written meanwhile")
    with tenant(account.pk), pytest.raises(PromptExists):
        conclude_experiment(test=test, winner=treatment, actor=owner)
    with platform():
        assert AbTest.objects.get(pk=test.pk).status == AbTestStatus.RUNNING


@pytest.mark.django_db
def test_the_rule_leaves_a_prompt_that_was_written_meanwhile_to_a_person(account, owner):
    shared = global_prompt(slug="coding.shared", template="control")
    test, control, treatment = running(account, owner, shared, rule=quick_rule(promotes_automatically=True))
    clear_win(account, control, treatment)
    own = prompt_with_version(account=account, slug="coding.shared", template="written meanwhile")
    with tenant(account.pk):
        reading = look_at_experiment(test=test)
        test.refresh_from_db()
        assert Prompt.objects.get(pk=own.pk, account_id=account.pk).current_version_id == own.current_version_id
    assert (reading.proposal, reading.proposed_variant_id) == (Proposal.PROMOTE, treatment.pk)
    assert "has a prompt of its own over the global one" in reading.reason
    assert (test.status, test.outcome) == (AbTestStatus.RUNNING, "")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("is_withdrawn", "why"), [(False, "another version than the control is current"), (True, "the prompt is withdrawn")]
)
def test_the_rule_does_not_replace_what_a_person_did_meanwhile(account, owner, is_withdrawn, why):
    prompt = prompt_of(account)
    test, control, treatment = running(account, owner, prompt, rule=quick_rule(promotes_automatically=True))
    clear_win(account, control, treatment)
    newer = PromptVersionFactory(prompt=prompt, version=3, template="written meanwhile")
    with tenant(account.pk):
        if is_withdrawn:
            withdraw(prompt=prompt, actor=owner)
        else:
            promote(prompt=prompt, version=newer, actor=owner)
        reading = look_at_experiment(test=test)
        test.refresh_from_db()
        prompt.refresh_from_db()
        assert (reading.proposal, reading.proposed_variant_id) == (Proposal.PROMOTE, treatment.pk)
        assert why in reading.reason
        assert test.status == AbTestStatus.RUNNING
        assert prompt.current_version_id == (None if is_withdrawn else newer.pk)
        conclude_experiment(test=test, winner=treatment, actor=owner)
        prompt.refresh_from_db()
    assert prompt.current_version_id == treatment.prompt_version_id


@pytest.mark.django_db
def test_an_experiment_that_cannot_be_read_does_not_stop_the_others(account, owner, caplog):
    # A rule as it would stand there if its bounds had been wider once.
    odd, _, _ = running(account, owner, prompt_of(account), rule=DecisionRule.model_construct(alpha=7.0))
    other, other_owner = account_with_owner()
    later, _, _ = running(other, other_owner, prompt_of(other))
    looked_at = look_at_experiments()
    assert (odd.pk in looked_at, later.pk in looked_at) == (False, True)
    with platform():
        read = ExperimentReading.objects.filter(ab_test__in=[odd, later]).values_list("ab_test_id", flat=True)
        assert list(read) == [later.pk]
    assert f"Experiment {odd.pk} could not be looked at" in caplog.messages
