"""What the buttons do: post, redirect, and say in their own words why not."""

from http import HTTPStatus

import pytest
from django.contrib.messages import get_messages
from django.core.management import call_command
from django.test import Client

from accounts.models import GithubToken, ProviderKey, User
from agent_runs.models import AgentRun, RunStatus, RunTrigger
from paid.lib.tenancy import platform
from projects.models import Comment, Issue
from prompts.models import Prompt, PromptVersion
from tests.dashboard.world import FIRST_TEMPLATE, SECOND_TEMPLATE, World
from tests.factories.accounts import PASSWORD
from workflows.models import OutboxCommand


@pytest.fixture
def seeded(world: World, settings, tmp_path) -> None:
    settings.REPOSITORIES_DIR = tmp_path / "repositories"
    with platform():
        call_command("sync_models", verbosity=0)
        call_command("seed_prompts", verbosity=0)


def said(answer) -> list[str]:
    return [str(message) for message in get_messages(answer.wsgi_request)]


def test_try_it_starts_the_sample_run_and_leads_to_its_live_page(world: World, seeded: None, charlie: Client):
    answer = charlie.post("/a/elsewhere/try")

    with platform():
        run = AgentRun.objects.select_related("language_model").get(account__slug="elsewhere")
        command = OutboxCommand.objects.get(account__slug="elsewhere")
    assert answer.status_code == HTTPStatus.FOUND
    assert answer["Location"] == f"/a/elsewhere/runs/{run.pk}/"
    assert (run.trigger, run.status, run.language_model.is_scripted) == (RunTrigger.DEMO, RunStatus.QUEUED, True)
    assert command.payload == {"account_id": run.account_id, "run_id": run.pk}
    assert "scripted model" in charlie.get(answer["Location"]).content.decode()


def test_try_it_again_leads_to_the_run_that_is_under_way(world: World, seeded: None, charlie: Client):
    first = charlie.post("/a/elsewhere/try")
    second = charlie.post("/a/elsewhere/try")

    assert second["Location"] == first["Location"]
    with platform():
        assert AgentRun.objects.filter(account__slug="elsewhere").count() == 1


def test_stop_asks_first_and_then_marks_the_run(world: World, bob: Client):
    address = f"/a/northwind/runs/{world.live_run.pk}/stop"

    question = bob.get(address)
    with platform():
        assert AgentRun.objects.get(pk=world.live_run.pk).stop_requested_at is None
    assert "Stop this run?" in question.content.decode()

    answer = bob.post(address)
    with platform():
        run = AgentRun.objects.get(pk=world.live_run.pk)
    assert answer["Location"] == f"/a/northwind/runs/{world.live_run.pk}/"
    assert run.stop_requested_at is not None
    assert run.stop_requested_by_id == world.bob.pk
    assert "Stopping…" in bob.get(answer["Location"]).content.decode()


def test_the_dialog_is_the_same_view_as_a_fragment(world: World, bob: Client):
    fragment = bob.get(f"/a/northwind/runs/{world.live_run.pk}/stop", headers={"HX-Request": "true"}).content.decode()

    assert "Stop this run?" in fragment
    assert "<html" not in fragment


def test_an_issue_with_a_live_run_refuses_a_second_one_in_words(world: World, seeded: None, bob: Client):
    answer = bob.post(f"/a/northwind/projects/{world.project.pk}/issues/4/run")

    assert answer["Location"] == f"/a/northwind/projects/{world.project.pk}/issues/4/"
    assert said(answer) == ["A run already works on issue #4. Wait for it to end, or stop it first."]
    with platform():
        assert AgentRun.objects.filter(account=world.account).count() == 3


def test_a_new_issue_takes_the_next_number_and_errors_come_back_with_the_text(world: World, bob: Client):
    address = f"/a/northwind/projects/{world.project.pk}/issues/new"

    refused = bob.post(address, {"title": "", "body": "Long text"})
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Long text" in refused.content.decode()

    answer = bob.post(address, {"title": "Keep the ß", "body": "Straße"})
    assert answer["Location"] == f"/a/northwind/projects/{world.project.pk}/issues/5/"
    with platform():
        assert Issue.objects.get(project=world.project, number=5).author == "Bob Example"


def test_a_comment_is_kept_under_the_writers_name(world: World, bob: Client):
    answer = bob.post(f"/a/northwind/pull-requests/{world.pull_request.pk}/comment", {"body": "It does not."})

    assert answer["Location"] == f"/a/northwind/pull-requests/{world.pull_request.pk}/#comments"
    with platform():
        assert list(Comment.objects.order_by("id").values_list("author", "body"))[-1] == ("Bob Example", "It does not.")


def test_an_edit_becomes_the_next_version_and_is_in_use(world: World, bob: Client):
    address = f"/a/northwind/prompts/{world.prompt.pk}/edit"
    changed = SECOND_TEMPLATE + "Be brief.\n"

    answer = bob.post(
        address,
        {"version": "2", "template": changed.replace("\n", "\r\n"), "change_notes": "Brief", "is_promoted": "on"},
    )

    assert answer["Location"] == f"/a/northwind/prompts/{world.prompt.pk}/"
    with platform():
        version = Prompt.objects.select_related("current_version").get(pk=world.prompt.pk).current_version
    assert version is not None
    assert (version.version, version.template, version.created_by_id) == (3, changed, world.bob.pk)


def test_an_edit_that_changes_nothing_or_does_not_parse_is_refused(world: World, bob: Client):
    address = f"/a/northwind/prompts/{world.prompt.pk}/edit"

    same = bob.post(address, {"version": "2", "template": SECOND_TEMPLATE, "is_promoted": "on"})
    broken = bob.post(address, {"version": "2", "template": "{% if %}", "is_promoted": "on"})

    assert (same.status_code, broken.status_code) == (HTTPStatus.UNPROCESSABLE_ENTITY,) * 2
    assert "The text is the same as in the version that you edited." in same.content.decode()
    assert "Line 1" in broken.content.decode()
    with platform():
        assert PromptVersion.objects.filter(prompt=world.prompt).count() == 2


def test_who_edits_an_old_version_is_told_what_came_in_between(world: World, bob: Client):
    answer = bob.post(
        f"/a/northwind/prompts/{world.prompt.pk}/edit",
        {"version": "1", "template": FIRST_TEMPLATE + "Be kind.\n", "is_promoted": "on"},
    )

    assert said(answer)[0].startswith("Version 3 is saved, but not in use: somebody saved version 2")
    with platform():
        assert Prompt.objects.get(pk=world.prompt.pk).current_version_id == world.prompt.current_version_id


def test_rolling_back_puts_the_old_version_in_use(world: World, bob: Client):
    bob.post(f"/a/northwind/prompts/{world.prompt.pk}/versions/1/promote")

    with platform():
        current = Prompt.objects.select_related("current_version").get(pk=world.prompt.pk).current_version
    assert current is not None
    assert current.version == 1


def test_a_key_is_sealed_and_never_shown(world: World, alice: Client):
    secret = "sk-ant-a-very-secret-key"
    alice.post("/a/northwind/settings/keys/add", {"provider": "anthropic", "name": "New", "key": secret})
    refused = alice.post("/a/northwind/settings/keys/add", {"provider": "anthropic", "name": "New", "key": secret})

    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert secret not in refused.content.decode()
    assert secret not in alice.get("/a/northwind/settings/keys/").content.decode()
    with platform():
        key = ProviderKey.objects.get(name="New")
        assert key.key.reveal() == secret


def test_a_token_is_revoked_after_a_question(world: World, alice: Client):
    address = f"/a/northwind/settings/github/{world.token.pk}/revoke"

    assert "Revoke the token" in alice.get(address).content.decode()
    alice.post(address)

    with platform():
        assert GithubToken.objects.get(pk=world.token.pk).revoked_at is not None
    assert "revoked" in alice.get("/a/northwind/settings/github/").content.decode()


def test_a_person_changes_their_name_but_takes_no_ones_address(world: World, bob: Client):
    bob.post("/a/northwind/settings/profile/", {"name": "Bobby", "email": "bob@example.com"})
    refused = bob.post("/a/northwind/settings/profile/", {"name": "Bobby", "email": "ALICE@example.com"})

    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Somebody uses this e-mail address already." in refused.content.decode()
    with platform():
        assert User.objects.get(pk=world.bob.pk).name == "Bobby"
        assert User.objects.get(pk=world.bob.pk).email == "bob@example.com"


def test_a_new_password_keeps_this_browser_signed_in(world: World, bob: Client):
    answer = bob.post(
        "/a/northwind/settings/password",
        {"old_password": PASSWORD, "new_password1": "gravel otter sandwich", "new_password2": "gravel otter sandwich"},
    )

    assert answer.status_code == HTTPStatus.FOUND
    assert bob.get("/a/northwind/").status_code == HTTPStatus.OK
    assert (
        Client().post("/sign-in/", {"username": "bob@example.com", "password": PASSWORD}).status_code == HTTPStatus.OK
    )
    again = Client().post("/sign-in/", {"username": "Bob@Example.com", "password": "gravel otter sandwich"})
    assert again.status_code == HTTPStatus.FOUND


def test_filters_stand_in_the_url_and_narrow_the_list(world: World, bob: Client):
    failed = bob.get("/a/northwind/runs/", {"status": "failed"}).content.decode()
    by_text = bob.get("/a/northwind/runs/", {"text": "#4"}).content.decode()
    nonsense = bob.get("/a/northwind/runs/", {"since": "yesterday", "after": "x~y", "project": "999999999999"})

    assert ("Empty titles raise" in failed, "Slugs lose their accents" in failed) == (True, False)
    assert ("Add a --max-length option" in by_text, "Empty titles raise" in by_text) == (True, False)
    assert nonsense.status_code == HTTPStatus.OK
    assert "This filter is not applied." in nonsense.content.decode()
