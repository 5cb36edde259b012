"""Evolution on the pages: switched on by an admin, proposals read beside their parent, tried or rejected."""

from http import HTTPStatus

import pytest
from django.test import Client
from django.urls import reverse

from agent_runs.models import RunTrigger
from metrics.models import Evolution, EvolutionPolicy, EvolutionStatus
from paid.lib.tenancy import platform
from prompts.models import AbTest, AbTestStatus, AbVariant, PromptVersion
from tests.dashboard.world import BETTER, World
from tests.factories.agent_runs import ModelSelectionFactory, finished_run

TERMS = {
    "is_on": "on",
    "needs_approval": "on",
    "spending_cap_usd": "12.50",
    "weak_below": "0.5",
    "minimum_runs": "30",
    "proposals": "2",
    "every_hours": "24",
}


def address(world: World, name: str = "prompt_evolution") -> str:
    return reverse(name, args=[world.account.slug, world.prompt.pk])


@pytest.fixture
def waiting(world: World) -> Evolution:
    with platform():
        AbTest.objects.filter(prompt=world.prompt).delete()
        return Evolution.objects.get(prompt=world.prompt)


def test_a_prompt_does_not_evolve_unless_an_admin_switches_it_on(world: World, alice: Client):
    assert "Off. When it is on" in alice.get(address(world)).content.decode()
    assert not EvolutionPolicy.objects.exists()

    answer = alice.post(address(world, "prompt_evolution_policy"), TERMS)

    assert answer.status_code == HTTPStatus.FOUND
    with platform():
        policy = EvolutionPolicy.objects.get(prompt=world.prompt)
    assert (policy.is_on, policy.needs_approval, policy.proposals) == (True, True, 2)
    assert "A cycle may cost 12.50 USD. A person decides what is tried." in alice.get(address(world)).content.decode()


@pytest.mark.parametrize(("field", "value"), [("spending_cap_usd", "0"), ("weak_below", "2"), ("proposals", "9")])
def test_terms_that_make_no_sense_are_refused(world: World, alice: Client, field: str, value: str):
    answer = alice.post(address(world, "prompt_evolution_policy"), {**TERMS, field: value})

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    with platform():
        assert not EvolutionPolicy.objects.filter(prompt=world.prompt).exists()


def test_a_member_reads_the_proposals_with_what_is_refused_and_why(world: World, waiting: Evolution, bob: Client):
    page = bob.get(address(world)).content.decode()

    assert "The agents stop before they have checked their change." in page
    assert "Read your change once more, as a reviewer would." in page
    assert "It drops `issue.body`." in page
    assert "An admin of the account decides what is tried." in page
    assert 'name="proposal"' not in page
    prompt = bob.get(reverse("prompt", args=[world.account.slug, world.prompt.pk])).content.decode()
    assert "1 proposal for a better text waits for a decision" in prompt


def test_an_admin_tries_a_proposal(world: World, waiting: Evolution, alice: Client):
    answer = alice.post(address(world, "prompt_evolution_try"), {"proposal": ["0"]})

    with platform():
        test = AbTest.objects.get(prompt=world.prompt)
        version = PromptVersion.objects.get(pk=AbVariant.objects.get(ab_test=test, is_control=False).prompt_version_id)
        waiting.refresh_from_db()
    assert answer["Location"] == reverse("experiment", args=[world.account.slug, test.pk])
    assert (test.status, test.created_by_id) == (AbTestStatus.RUNNING, world.alice.pk)
    assert (version.template, version.parent_version_id) == (BETTER.template, waiting.parent_version_id)
    assert version.change_notes == "Proposed by a model: A second look finds slips."
    assert (waiting.status, waiting.ab_test_id) == (EvolutionStatus.TESTING, test.pk)


@pytest.mark.parametrize("chosen", [[], ["1"], ["7"], ["x"]])
def test_nothing_is_tried_that_was_refused_or_not_chosen(
    world: World, waiting: Evolution, alice: Client, chosen: list[str]
):
    answer = alice.post(address(world, "prompt_evolution_try"), {"proposal": chosen}, follow=True)

    assert "Choose at least one of the proposals that may be tried." in answer.content.decode()
    with platform():
        waiting.refresh_from_db()
        assert waiting.status == EvolutionStatus.PROPOSED
        assert not AbTest.objects.filter(prompt=world.prompt).exists()


def test_what_was_rejected_cannot_be_tried(world: World, waiting: Evolution, alice: Client):
    assert "Reject all proposals?" in alice.get(address(world, "prompt_evolution_reject")).content.decode()
    alice.post(address(world, "prompt_evolution_reject"))
    answer = alice.post(address(world, "prompt_evolution_try"), {"proposal": ["0"]}, follow=True)

    assert "This has been decided in the meantime." in answer.content.decode()
    with platform():
        waiting.refresh_from_db()
        assert (waiting.status, waiting.decided_by_id) == (EvolutionStatus.REJECTED, world.alice.pk)


def test_the_question_to_the_model_has_a_page_like_every_run(world: World, waiting: Evolution, bob: Client):
    asked = ModelSelectionFactory(
        agent_run=finished_run(
            project=world.project, agent="consultation", trigger=RunTrigger.EVOLUTION, prompt_text="Find out why."
        )
    ).agent_run
    with platform():
        Evolution.objects.filter(pk=waiting.pk).update(consultation=asked)

    page = bob.get(address(world)).content.decode()
    run_address = reverse("run", args=[world.account.slug, asked.pk])
    assert f'<a href="{run_address}">the model was asked</a>' in page
    assert "Find out why." in bob.get(run_address).content.decode()
