"""Experiments in the admin: drafts change, what has started is looked at, and actions are the pages' operations."""

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from metrics.experiments.operations import look_at_experiment
from metrics.models import ExperimentReading, Proposal
from paid.lib.tenancy import platform, tenant
from prompts.experiments.operations import Arm, create_experiment, start_experiment
from prompts.models import AbTest, AbTestStatus, AbVariant, Prompt
from tests.factories.accounts import UserFactory, account_with_owner
from tests.factories.prompts import PromptVersionFactory, prompt_with_version

pytestmark = pytest.mark.django_db
LIST = reverse("admin:prompts_abtest_changelist")
READINGS = reverse("admin:metrics_experimentreading_changelist")


@pytest.fixture
def page(client: Client) -> Client:
    with platform():
        client.force_login(UserFactory(is_staff=True, name="Alice"))
    return client


@pytest.fixture
def test() -> AbTest:
    account, owner = account_with_owner()
    prompt = prompt_with_version(account=account, slug="coding.x")
    assert prompt.current_version is not None
    newer = PromptVersionFactory(prompt=prompt, version=2, template="Shorter.")
    with tenant(account.pk):
        return create_experiment(
            account_id=account.pk,
            prompt=prompt,
            name="Shorter",
            control=Arm(prompt.current_version, "control"),
            treatments=[Arm(newer, "shorter")],
            metric="quality_score",
            actor=owner,
        )


def started(test: AbTest) -> AbTest:
    with tenant(test.account_id):
        start_experiment(test=test, actor=None)
    return test


def again(test: AbTest) -> AbTest:
    with platform():
        return AbTest.objects.get(pk=test.pk)


def act(page: Client, address: str, action: str, pk: int) -> str:
    return page.post(address, {"action": action, "_selected_action": [pk]}, follow=True).content.decode()


def change_url(test: AbTest) -> str:
    return reverse("admin:prompts_abtest_change", args=[test.pk])


def saved(test: AbTest, **weights: int) -> dict[str, object]:
    with platform():
        variants = list(AbVariant.objects.filter(ab_test=test).order_by("-is_control", "pk"))
    form: dict[str, object] = {
        "name": "Renamed",
        "hypothesis": "",
        "variants-TOTAL_FORMS": len(variants),
        "variants-INITIAL_FORMS": len(variants),
    }
    for place, variant in enumerate(variants):
        form |= {f"variants-{place}-id": variant.pk, f"variants-{place}-ab_test": test.pk}
        form[f"variants-{place}-weight"] = weights.get(variant.name, variant.weight)
    return form


def test_a_drafts_words_and_weights_are_saved_by_the_operation(page: Client, test: AbTest):
    answer = page.post(change_url(test), saved(test, shorter=4))

    assert answer.status_code == 302
    with platform():
        weights = dict(AbVariant.objects.filter(ab_test=test).values_list("name", "weight"))
        events = AuditEvent.objects.filter(object_type="experiment", action="experiment.changed", actor="Alice")
        assert events.count() == 1
    assert (again(test).name, weights) == ("Renamed", {"control": 1, "shorter": 4})


def test_what_has_started_is_only_looked_at(page: Client, test: AbTest):
    form = saved(test, shorter=4)
    started(test)

    assert 'name="variants-0-weight"' not in page.get(change_url(test)).content.decode()
    assert page.post(change_url(test), form).status_code == 403
    assert again(test).name == "Shorter"


def test_actions_lead_it_through_its_life_and_say_what_they_refuse(page: Client, test: AbTest):
    steps = [
        ("start_selected", "Shorter runs.", AbTestStatus.RUNNING),
        ("start_selected", "The experiment has gone on in the meantime.", AbTestStatus.RUNNING),
        ("pause_selected", "Shorter rests.", AbTestStatus.PAUSED),
        ("resume_selected", "Shorter runs again.", AbTestStatus.RUNNING),
        ("delete_drafts", "The experiment has gone on in the meantime.", AbTestStatus.RUNNING),
        ("keep_control", "Shorter has ended; the control stays.", AbTestStatus.COMPLETED),
    ]
    seen = [(action, words in act(page, LIST, action, test.pk), again(test).status) for action, words, _ in steps]

    assert seen == [(action, True, status) for action, _, status in steps]


def test_a_draft_is_deleted_by_its_action(page: Client, test: AbTest):
    assert "Shorter is deleted." in act(page, LIST, "delete_drafts", test.pk)
    with platform():
        assert not AbTest.objects.filter(pk=test.pk).exists()


def test_a_reading_is_renewed_and_its_proposal_carried_out(page: Client, test: AbTest):
    started(test)
    with tenant(test.account_id):
        reading = look_at_experiment(test=test)
        winner = AbVariant.objects.get(ab_test=test, is_control=False)

    assert "Shorter is read as of now." in act(page, READINGS, "look_again", reading.pk)
    assert "nothing is proposed yet" in act(page, READINGS, "carry_out", reading.pk)
    assert again(test).status == AbTestStatus.RUNNING
    with platform():
        ExperimentReading.objects.filter(pk=reading.pk).update(
            proposal=Proposal.PROMOTE, proposed_variant=winner, reason="It is better."
        )
    assert "Shorter has ended: “shorter” is promoted." in act(page, READINGS, "carry_out", reading.pk)
    ended = again(test)
    with platform():
        assert Prompt.objects.get(pk=test.prompt_id).current_version_id == winner.prompt_version_id
    assert (ended.outcome, ended.winner_id, ended.decision_reason) == ("promoted", winner.pk, "It is better.")
    assert "gone on in the meantime" in act(page, READINGS, "carry_out", reading.pk)


def test_a_broken_guardrail_promotes_nobody(page: Client, test: AbTest):
    started(test)
    with tenant(test.account_id):
        reading = look_at_experiment(test=test)
    with platform():
        harmful = AbVariant.objects.get(ab_test=test, is_control=False)
        ExperimentReading.objects.filter(pk=reading.pk).update(
            proposal=Proposal.STOP_HARM, proposed_variant=harmful, reason="It fails."
        )

    assert "Shorter has ended: the control stays." in act(page, READINGS, "carry_out", reading.pk)
    assert (again(test).outcome, again(test).winner_id) == ("control_kept", None)
