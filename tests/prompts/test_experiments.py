"""An experiment begins as a draft, is fixed by its start, and ends once."""

from collections import Counter
from decimal import Decimal
from typing import Any

import pytest
from django.db import IntegrityError

from accounts.models import AuditEvent
from paid.lib.tenancy import platform, tenant
from prompts.errors import ExperimentRefused, ExperimentRuns, VersionNotOfPrompt, WrongExperimentStatus
from prompts.experiments.operations import (
    Arm,
    Shares,
    change_draft,
    complete_experiment,
    create_experiment,
    delete_experiment,
    pause_experiment,
    resume_experiment,
    rule_from,
    start_experiment,
)
from prompts.models import AbTest, AbTestStatus, AbVariant, Prompt, PromptVersion
from prompts.resolution import resolve_prompt
from tests.factories.accounts import account_with_owner
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import PromptVersionFactory, prompt_with_version


@pytest.fixture
def account():
    return account_with_owner()[0]


@pytest.fixture
def owner(account):
    with platform():
        return account.memberships.get().user


@pytest.fixture
def prompt(account) -> Prompt:
    return prompt_with_version(account=account, slug="coding.x", template="control")


def version_of(prompt: Prompt) -> PromptVersion:
    assert prompt.current_version is not None
    return prompt.current_version


def draft(prompt: Prompt, owner, *, weights=(1, 1), **fields) -> AbTest:
    versions = [version_of(prompt)] + [
        PromptVersionFactory(prompt=prompt, version=index + 2, template=f"treatment {index + 1}")
        for index in range(len(weights) - 1)
    ]
    arms = [Arm(version, version.template, weight) for version, weight in zip(versions, weights, strict=True)]
    values = {"name": "Shorter", "metric": "quality_score"} | fields
    with tenant(prompt.account_id):
        return create_experiment(
            account_id=prompt.account_id, prompt=prompt, control=arms[0], treatments=arms[1:], actor=owner, **values
        )


def actions(account) -> set[str]:
    with platform():
        events = AuditEvent.objects.filter(account_id=account.pk, object_type="experiment")
        return {event.action.removeprefix("experiment.") for event in events}


@pytest.mark.django_db
def test_its_life_is_audited_from_draft_to_end(account, owner, prompt):
    test = draft(prompt, owner)
    with tenant(account.pk):
        start_experiment(test=test, actor=owner)
        pause_experiment(test=test, actor=owner, reason="Wait for Ada.")
        resume_experiment(test=test, actor=owner)
        complete_experiment(test=test, winner=None, actor=owner, reason="No difference.")
    assert (test.status, test.outcome, test.decided_by_id, test.decision_reason) == (
        AbTestStatus.COMPLETED,
        "control_kept",
        owner.pk,
        "No difference.",
    )
    assert test.started_at is not None
    assert test.ended_at is not None
    assert test.started_at < test.ended_at
    assert actions(account) == {"created", "started", "paused", "resumed", "completed"}


@pytest.mark.django_db
def test_only_one_runs_on_a_prompt(account, owner, prompt):
    first = draft(prompt, owner)
    second = draft(prompt_like(prompt), owner, name="Other prompt")
    with tenant(account.pk):
        third = create_experiment(
            account_id=account.pk,
            prompt=prompt,
            name="Rival",
            control=Arm(version_of(prompt), "control"),
            treatments=[Arm(PromptVersionFactory(prompt=prompt, version=9), "rival")],
            metric="quality_score",
            actor=owner,
        )
        start_experiment(test=first, actor=owner)
        start_experiment(test=second, actor=owner)
        with pytest.raises(ExperimentRuns):
            start_experiment(test=third, actor=owner)
        third.refresh_from_db()
        assert (third.status, third.started_at) == (AbTestStatus.DRAFT, None)


def prompt_like(prompt: Prompt) -> Prompt:
    return prompt_with_version(account=prompt.account, slug="coding.y", template="control")


@pytest.mark.django_db
def test_what_decides_is_fixed_once_it_has_started(account, owner, prompt):
    test = draft(prompt, owner)
    with tenant(account.pk):
        start_experiment(test=test, actor=owner)
    changes: tuple[dict[str, Any], ...] = (
        {"salt": "x"},
        {"traffic_share": Decimal("0.5")},
        {"metric": "merge_rate"},
        {"rule": {}},
    )
    for change in changes:
        with pytest.raises(IntegrityError, match="has started"), platform():
            AbTest.objects.filter(pk=test.pk).update(**change)
    with pytest.raises(IntegrityError, match="variants are fixed"), platform():
        AbVariant.objects.filter(ab_test=test, is_control=True).update(weight=5)
    with pytest.raises(IntegrityError, match="variants are fixed"), platform():
        AbVariant.objects.filter(ab_test=test).delete()


@pytest.mark.django_db
def test_the_end_is_the_end(account, owner, prompt):
    test = draft(prompt, owner)
    with tenant(account.pk):
        with pytest.raises(WrongExperimentStatus):
            complete_experiment(test=test, winner=None, actor=owner, reason="")
        start_experiment(test=test, actor=owner)
        complete_experiment(test=test, winner=None, actor=owner, reason="")
        for again in (start_experiment, pause_experiment, resume_experiment, delete_experiment):
            with pytest.raises(WrongExperimentStatus):
                again(test=test, actor=owner)
    with pytest.raises(IntegrityError, match="cannot go from completed to running"), platform():
        AbTest.objects.filter(pk=test.pk).update(status="running", outcome="")


@pytest.mark.django_db
def test_a_draft_can_go_without_trace_but_in_the_audit_log(account, owner, prompt):
    test = draft(prompt, owner)
    with tenant(account.pk):
        delete_experiment(test=test, actor=owner)
        assert AbTest.objects.count() == 0
    assert actions(account) == {"created", "deleted"}


@pytest.mark.django_db
def test_a_drafts_words_and_weights_change_until_it_starts(account, owner, prompt):
    test = draft(prompt, owner)
    with tenant(account.pk):
        control = AbVariant.objects.get(ab_test=test, is_control=True)
        change_draft(test=test, name="Longer", hypothesis="Why not.", weights={control.pk: 3}, actor=owner)
        with pytest.raises(ExperimentRefused, match="weight"):
            change_draft(test=test, name="No", hypothesis="", weights={control.pk: 0}, actor=owner)
        start_experiment(test=test, actor=owner)
        with pytest.raises(WrongExperimentStatus):
            change_draft(test=test, name="Late", hypothesis="", weights={control.pk: 5}, actor=owner)
        control.refresh_from_db()
        test.refresh_from_db()
    assert (test.name, test.hypothesis, control.weight) == ("Longer", "Why not.", 3)
    assert actions(account) == {"created", "changed", "started"}


@pytest.mark.django_db
def test_it_refuses_arms_that_compare_nothing(account, owner, prompt):
    other = prompt_with_version(account=account, slug="coding.z")
    current = version_of(prompt)
    newer = PromptVersionFactory(prompt=prompt, version=2)
    cases = [
        ([], "at least one other"),
        ([Arm(current, "same")], "same version"),
        ([Arm(newer, "control")], "same name"),
        ([Arm(newer, "new", weight=0)], "weight"),
    ]
    for treatments, words in cases:
        with pytest.raises(ExperimentRefused, match=words), tenant(account.pk):
            create_experiment(
                account_id=account.pk,
                prompt=prompt,
                name="No",
                control=Arm(current, "control"),
                treatments=treatments,
                metric="quality_score",
                actor=owner,
            )
    with pytest.raises(VersionNotOfPrompt), tenant(account.pk):
        create_experiment(
            account_id=account.pk,
            prompt=prompt,
            name="No",
            control=Arm(current, "control"),
            treatments=[Arm(version_of(other), "foreign")],
            metric="quality_score",
            actor=owner,
        )
    with pytest.raises(ExperimentRefused, match="no natural bound"):
        draft(prompt_like(prompt), owner, metric="cost")
    with platform():
        assert AbTest.objects.count() == 0


@pytest.mark.parametrize(
    ("values", "words"),
    [
        ({"alpha": 0.9}, "alpha"),
        ({"minimum_subjects": 100, "maximum_subjects": 150}, "twice"),
        ({"guardrails": [{"metric": "cost"}]}, "cap_usd"),
        ({"guardrails": [{"metric": "failure_rate", "cap_usd": "3"}]}, "cap_usd"),
        ({"alfa": 0.05}, "alfa"),
    ],
)
def test_a_rule_with_a_mistake_says_where(values, words):
    with pytest.raises(ExperimentRefused, match=words):
        rule_from(values)


@pytest.mark.django_db
def test_who_is_held_out_takes_part_in_no_experiment_of_the_account(account, owner, prompt):
    other = prompt_like(prompt)
    with tenant(account.pk):
        for test in (
            draft(prompt, owner, shares=Shares(holdout=Decimal("0.2"))),
            draft(other, owner, shares=Shares(holdout=Decimal("0.2"))),
        ):
            start_experiment(test=test, actor=owner)
    project = ProjectFactory(account=account)
    outside = []
    with tenant(account.pk):
        for slug in ("coding.x", "coding.y"):
            variants = {
                subject: resolve_prompt(
                    account_id=account.pk, project_id=project.pk, slug=slug, subject=str(subject)
                ).ab_variant_id
                for subject in range(400)
            }
            outside.append({subject for subject, variant in variants.items() if variant is None})
            assert len(Counter(variants.values())) == 3
    assert outside[0] == outside[1]
    assert 50 < len(outside[0]) < 110
