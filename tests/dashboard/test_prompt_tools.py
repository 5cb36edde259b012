"""On a prompt's page: trying it out, checking a text while it is written, labels, and the file to take away."""

import re
from http import HTTPStatus
from typing import Any

import pytest
from django.core.management import call_command
from django.test import Client

from accounts.models import AuditEvent
from paid.lib.tenancy import platform
from prompts.files import parse_prompt_file
from prompts.models import PromptLabel, PromptVersion
from tests.dashboard.world import FIRST_TEMPLATE, World
from tests.factories.accounts import global_account
from tests.factories.prompts import LanguageModelFactory, PromptLabelFactory, StyleGuideFactory, global_prompt


def address(world: World, rest: str) -> str:
    return f"/a/northwind/prompts/{world.prompt.pk}/{rest}"


def test_a_version_is_filled_in_with_an_issue_and_foreign_words_are_marked(world: World, vera: Client):
    page = vera.get(address(world, f"try?version=1&issue={world.issue.pk}")).content.decode()

    assert "You work on slugify." in page
    assert "First write a test that fails." not in page
    title = page.index("Slugs lose their accents&lt;/untrusted-")
    marked = page.rindex('<span class="untrusted">&lt;untrusted-', 0, title)
    assert "</span>" not in page[marked:title]


def test_an_issue_of_another_account_is_not_tried(world: World, charlie: Client):
    shared = global_prompt(slug="coding.shared", template="{{ issue.title }}")
    page = charlie.get(f"/a/elsewhere/prompts/{shared.pk}/try?issue={world.issue.pk}").content.decode()

    assert "Slugs lose their accents" not in page
    assert "No issue to try it with" in page


def check(client: Client, world: World, template: str, **more: Any) -> str:
    answer = client.post(address(world, "check"), {"template": template, **more}, headers={"HX-Request": "true"})
    assert answer.status_code == HTTPStatus.OK
    return str(answer.content.decode())


def test_a_text_is_checked_while_it_is_written_and_nothing_is_saved(world: World, bob: Client):
    refused = check(bob, world, "One\n{{ issue.titel }}")
    assert "Line 2: " in refused
    assert "Did you mean `title`?" in refused
    assert "It cannot be used like this" in check(bob, world, "{% for")
    used = check(bob, world, "{{ issue.title }} {{ project.name }}")
    assert "<code>issue.title</code> <code>project.name</code>" in used
    sent = check(bob, world, "{{ project.name }}!", issue=str(world.issue.pk), system_prompt="Be kind.")
    assert "slugify!" in sent
    assert "Be kind." in sent
    with platform():
        assert PromptVersion.objects.filter(prompt=world.prompt).count() == 2


def test_without_javascript_the_check_gives_the_form_back_with_its_outcome(world: World, bob: Client):
    page = bob.post(address(world, "check"), {"template": "Mine {{ issue.titel }}", "version": "2"}).content.decode()

    assert "Mine {{ issue.titel }}</textarea>" in page
    assert "Did you mean `title`?" in page
    assert "Written from version 2." in page


def test_a_version_is_taken_away_as_a_file(world: World, vera: Client):
    answer = vera.get(address(world, "file?version=1"))
    file = parse_prompt_file(answer.content.decode())

    assert answer["Content-Disposition"] == 'attachment; filename="coding.implement_issue.md"'
    assert (file.slug, file.version, file.text.template) == ("coding.implement_issue", 1, FIRST_TEMPLATE)


def test_a_label_is_moved_and_taken_away_and_each_is_audited(world: World, bob: Client):
    assert bob.post(address(world, "versions/2/label"), {"name": "staging"}).status_code == HTTPStatus.FOUND
    assert "staging" in bob.get(address(world, "")).content.decode()
    with platform():
        label = PromptLabel.objects.select_related("prompt_version").get()
        assert (label.pk, label.prompt_version.version, label.moved_by) == (world.label.pk, 2, "Bob Example")
    assert "Take the label “staging” away?" in bob.get(address(world, f"labels/{label.pk}/remove")).content.decode()
    bob.post(address(world, f"labels/{label.pk}/remove"))
    with platform():
        assert PromptLabel.objects.count() == 0
        events = AuditEvent.objects.filter(action__startswith="prompt.label_")
        assert sorted(events.values_list("action", "data__label", "actor")) == [
            ("prompt.label_moved", "staging", "Bob Example"),
            ("prompt.label_removed", "staging", "Bob Example"),
        ]


@pytest.mark.parametrize("name", ["", "Production", "-x", "a b", "x" * 51])
def test_a_name_that_is_no_label_is_told(world: World, bob: Client, name: str):
    answer = bob.post(address(world, "versions/2/label"), {"name": name})

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    with platform():
        assert PromptLabel.objects.get().prompt_version_id != world.prompt.current_version_id


def test_a_global_prompts_labels_are_not_a_tenants(world: World, bob: Client):
    shared = global_prompt(slug="coding.shared")
    label = PromptLabelFactory(prompt_version=shared.current_version)
    at = f"/a/northwind/prompts/{shared.pk}"

    assert bob.post(f"{at}/versions/1/label", {"name": "mine"}).status_code == HTTPStatus.NOT_FOUND
    assert bob.post(f"{at}/labels/{label.pk}/remove").status_code == HTTPStatus.NOT_FOUND
    assert bob.post(address(world, f"labels/{label.pk}/remove")).status_code == HTTPStatus.NOT_FOUND
    with platform():
        assert PromptLabel.objects.count() == 2


def test_the_style_guide_that_wins_in_a_project_is_marked(world: World, vera: Client):
    StyleGuideFactory(account=global_account(), name="General", raw_text="Global words.")
    StyleGuideFactory(account=world.account, name="Ours", raw_text="Long words.", compressed_text="Short.")
    StyleGuideFactory(name="Theirs", raw_text="Secret words.")
    page = vera.get("/a/northwind/prompts/style-guides/").content.decode()

    assert re.findall(r"<h2>(\w+)</h2>(?:(?!</summary>).)*?told in slugify", page, re.DOTALL)[-1:] == ["Ours"]
    assert "Global words." in page
    assert "Short." in page
    assert "Secret words." not in page


def test_the_model_that_a_run_would_get_is_told_with_its_reason_and_prices(world: World, vera: Client):
    call_command("sync_models", verbosity=0)
    LanguageModelFactory(name="Not for you")
    page = vera.get(f"/a/northwind/prompts/models/?project={world.project.pk}&category=coding").content.decode()

    assert "A run of slugify would get" in page
    assert "Preferred for coding by the host." in page
    assert "Scripted: a real model can be used." in page
    assert '<td class="cell-right cell-tight">3</td><td class="cell-right cell-tight">15</td>' in page
    assert "Not for you" not in page
