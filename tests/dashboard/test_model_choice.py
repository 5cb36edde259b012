"""The meta-agent on the pages: an admin switches it on for a project, and a run shows who chose its model and why."""

from decimal import Decimal
from http import HTTPStatus

import pytest
from django.test import Client
from django.urls import reverse

from accounts.models import AuditEvent
from agent_runs.models import ModelQuestionStatus, ModelSelection, RunTrigger
from paid.lib.tenancy import platform
from projects.models import Project
from tests.dashboard.world import World
from tests.factories.agent_runs import ModelQuestionFactory, finished_run


def address(world: World) -> str:
    return reverse("project_meta_agent", args=[world.account.slug, world.project.pk])


def settings_of(world: World) -> dict[str, object]:
    with platform():
        found: dict[str, object] = Project.objects.get(pk=world.project.pk).settings
        return found


def test_an_admin_switches_it_on_and_other_settings_stay(world: World, alice: Client):
    with platform():
        Project.objects.filter(pk=world.project.pk).update(settings={"language": "Python"})

    answer = alice.post(address(world), {"is_on": "on", "cap_usd": "0.25"}, follow=True)
    alice.post(address(world), {"is_on": "on", "cap_usd": "0.25"})

    assert "A model is asked for every run that starts from now on." in answer.content.decode()
    assert "asks which model to use" in answer.content.decode()
    assert settings_of(world) == {"language": "Python", "meta_agent": {"is_on": True, "cap_usd": "0.25"}}
    with platform():
        event = AuditEvent.objects.get(action="project.meta_agent")
    assert (event.actor_user_id, event.data) == (world.alice.pk, {"is_on": True, "cap_usd": "0.25"})


@pytest.mark.parametrize("cap", ["0", "10.01", "0.001", ""])
def test_a_cap_that_makes_no_sense_is_refused(world: World, alice: Client, cap: str):
    answer = alice.post(address(world), {"is_on": "on", "cap_usd": cap})

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "meta_agent" not in settings_of(world)


def test_a_run_shows_who_chose_from_what_and_what_asking_cost(world: World, bob: Client):
    asking = finished_run(project=world.project, trigger=RunTrigger.MODEL_CHOICE, cost_usd=Decimal("0.0042"))
    ModelQuestionFactory(agent_run=world.run, consultation=asking, status=ModelQuestionStatus.FOLLOWED)
    small = {
        "language_model_id": 0,
        "provider": "anthropic",
        "model_id": "small",
        "is_usable": True,
        "reason": "By its price.",
        "price": "1 USD in, 5 USD out per million tokens",
        "history": "2 runs, 2 completed, 0.30 USD a run",
        "note": "Its usual run costs more than this one may spend.",
    }
    chosen = {**small, "language_model_id": world.model.pk, "model_id": "large", "history": "", "note": ""}
    with platform():
        ModelSelection.objects.filter(agent_run=world.run).update(
            selected_by="meta_agent", reason="The meta-agent (small) chose it: “<b>x</b>”.", candidates=[small, chosen]
        )

    page = bob.get(f"/a/northwind/runs/{world.run.pk}/").content.decode()

    assert "The meta-agent (small) chose it: “&lt;b&gt;x&lt;/b&gt;”." in page
    assert "(meta-agent, 2 candidates)" in page
    asked = page[page.index(f'<a href="/a/northwind/runs/{asking.pk}/">The question</a> cost') :].split("</p>")[0]
    assert 'title="0.0042 USD">$0.00420</span> of at most' in asked
    table = page[page.index("Models to choose from") :].split("</table>")[0]
    assert "Here: 2 runs, 2 completed, 0.30 USD a run" in table
    assert "Its usual run costs more than this one may spend." in table
    assert table.index("small") < table.index("large") < table.index("chosen")
    of_question = bob.get(f"/a/northwind/runs/{asking.pk}/").content.decode()
    assert f'<dt>Asked for</dt><dd><a href="/a/northwind/runs/{world.run.pk}/">run {world.run.pk}</a>' in of_question


def test_a_page_that_waits_for_the_choice_shows_it_when_it_has_come(world: World, bob: Client):
    page = f"/a/northwind/runs/{world.live_run.pk}/"
    assert "sse:timeline" not in bob.get(page).content.decode()
    ModelQuestionFactory(agent_run=world.live_run)

    waiting = bob.get(page).content.decode()

    assert "A model is being asked which model suits this issue." in waiting
    assert 'hx-trigger="sse:end, sse:timeline"' in waiting
