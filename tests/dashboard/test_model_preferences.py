"""Admins say on the page which models runs prefer, require and exclude, and see at once what that does."""

from http import HTTPStatus

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import AuditEvent
from paid.lib.tenancy import platform, tenant
from prompts.errors import PreferenceForeignModel, PreferenceTarget
from prompts.models import LanguageModel, ModelPreference
from prompts.preference_operations import Terms, add_preference
from tests.dashboard.world import World
from tests.factories.accounts import ProviderKeyFactory, global_account
from tests.factories.prompts import LanguageModelFactory, ModelPreferenceFactory

MODELS = "/a/northwind/prompts/models/"


def preferences(world: World) -> list[tuple[str, str, int]]:
    with platform():
        rows = ModelPreference.objects.filter(account=world.account, category="coding").order_by("position", "pk")
        return [(row.stance, row.provider or str(row.language_model), row.position) for row in rows]


def events() -> list[tuple[str, str]]:
    with platform():
        rows = AuditEvent.objects.filter(object_type="model_preference").order_by("created_at")
        return list(rows.values_list("action", "actor"))


def add(client: Client, target: str, stance: str = "prefer", **fields: object):
    return client.post(
        f"{MODELS}preferences/add",
        {"stance": stance, "target": target, "project": "", "category": "coding", **fields},
    )


def test_a_preference_is_added_and_the_page_shows_what_it_does(world: World, alice: Client):
    call_command("sync_models", verbosity=0)
    ProviderKeyFactory(account=world.account, provider="anthropic", name="Second")
    with platform():
        model = LanguageModel.objects.get(account_id=0, model_id="claude-opus-4-1")
    answer = add(alice, f"model:{model.pk}", project=world.project.pk)

    assert answer["Location"] == f"{MODELS}?project={world.project.pk}&category=coding"
    assert "Preferred for coding by the project." in alice.get(answer["Location"]).content.decode()
    with platform():
        kept = ModelPreference.objects.get(account=world.account, project=world.project)
        assert (kept.model_account_id, kept.language_model_id, kept.provider) == (0, model.pk, "")
    assert events() == [("model_preference.created", "Alice Example")]


def test_those_that_prefer_change_places(world: World, alice: Client):
    for name in ("anthropic", "openai", "google"):
        LanguageModelFactory(account=global_account(), provider=name, model_id=f"{name}-1", is_scripted=False)
        add(alice, f"provider:{name}")
    with platform():
        last = ModelPreference.objects.get(account=world.account, provider="google")
    address = f"{MODELS}preferences/{last.pk}/move"

    assert alice.post(address, {"direction": "up"})["Location"] == f"{MODELS}?category=coding"
    assert preferences(world) == [("prefer", "anthropic", 0), ("prefer", "google", 1), ("prefer", "openai", 2)]
    alice.post(address, {"direction": "up"})
    alice.post(address, {"direction": "up"})
    assert [provider for _, provider, _ in preferences(world)] == ["google", "anthropic", "openai"]
    alice.post(address, {"direction": "down"})
    assert [provider for _, provider, _ in preferences(world)] == ["anthropic", "google", "openai"]
    assert alice.post(address, {"direction": "over"}).status_code == HTTPStatus.BAD_REQUEST
    assert [action for action, _ in events()] == ["model_preference.created"] * 3 + ["model_preference.moved"] * 3


def test_a_preference_is_removed_after_the_question(world: World, alice: Client):
    address = f"{MODELS}preferences/{world.preference.pk}/remove"
    assert "“Exclude mistral” for the whole account" in alice.get(address).content.decode()
    assert alice.post(address)["Location"] == f"{MODELS}?category=review"
    assert alice.post(address).status_code == HTTPStatus.NOT_FOUND

    with platform():
        assert ModelPreference.objects.count() == 0
    assert events() == [("model_preference.removed", "Alice Example")]


def test_one_that_is_there_already_and_a_foreign_model_are_told_at_the_field(world: World, alice: Client):
    foreign = LanguageModelFactory(model_id="not-yours")
    first, again = (add(alice, f"model:{world.model.pk}", stance="exclude") for _ in range(2))

    assert first.status_code == HTTPStatus.FOUND
    assert again.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert again.context["form"].errors["target"] == ["This preference is there already."]
    assert "not-yours" not in again.content.decode()
    for target in (f"model:{foreign.pk}", "provider:nobody", ""):
        assert add(alice, target).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert preferences(world) == [("exclude", "scripted/scripted-demo", 0)]


def test_the_database_refuses_both_targets_and_another_accounts_model_by_name(world: World):
    foreign = LanguageModelFactory()
    with tenant(world.account.pk):
        for terms, refusal in (
            (Terms("prefer", "anthropic", world.model), PreferenceTarget),
            (Terms("prefer"), PreferenceTarget),
            (Terms("prefer", "", foreign), PreferenceForeignModel),
        ):
            with pytest.raises(refusal):
                add_preference(account_id=world.account.pk, terms=terms, actor=None)
    assert events() == []


def test_the_hosts_preferences_are_read_only(world: World, alice: Client):
    host = ModelPreferenceFactory(account=global_account(), category="coding")
    page = alice.get(MODELS).content.decode()

    assert "Host</td>" in page
    assert f"preferences/{host.pk}/" not in page
    assert alice.post(f"{MODELS}preferences/{host.pk}/move", {"direction": "up"}).status_code == HTTPStatus.NOT_FOUND
    assert alice.post(f"{MODELS}preferences/{host.pk}/remove").status_code == HTTPStatus.NOT_FOUND


def test_a_member_sees_no_form(world: World, bob: Client):
    page = bob.get(MODELS).content.decode()

    assert "Exclude <strong>mistral</strong>" in page
    assert "preferences/add" not in page
    assert f"preferences/{world.preference.pk}" not in page
