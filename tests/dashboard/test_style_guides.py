"""Style guides are written by members, what stood there stays on record, and two who write at once lose no word."""

import re
from http import HTTPStatus
from typing import Any

from django.test import Client

from accounts.models import AuditEvent
from paid.lib.tenancy import platform
from prompts.models import StyleGuide
from prompts.querysets import style_guide_for
from tests.dashboard.world import World
from tests.factories.accounts import global_account
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import StyleGuideFactory

GUIDES = "/a/northwind/prompts/style-guides/"
FIELDS = {
    "name": "Ours",
    "project": "",
    "language": "",
    "raw_text": "# Ours\n\n**Short** sentences.",
    "compressed_text": "",
}


def stored(guide_id: int) -> StyleGuide:
    with platform():
        return StyleGuide.objects.get(pk=guide_id)


def events() -> list[tuple[str, str, dict[str, Any]]]:
    with platform():
        rows = AuditEvent.objects.filter(object_type="style_guide").order_by("created_at")
        return list(rows.values_list("action", "actor", "data"))


def opened(client: Client, guide: StyleGuide) -> dict[str, object]:
    """The form as a browser has it after the page is opened."""
    form = client.get(f"{GUIDES}{guide.pk}/edit").context["form"]
    return {name: form[name].value() or "" for name in form.fields}


def test_a_member_writes_a_guide_that_is_compressed_and_told(world: World, bob: Client):
    answer = bob.post(f"{GUIDES}new", FIELDS)

    with platform():
        guide = StyleGuide.objects.get(name="Ours")
        assert style_guide_for(world.project) == "# Ours\nShort sentences."
    assert answer["Location"] == f"{GUIDES}{guide.pk}/"
    assert guide.raw_text == "# Ours\n\n**Short** sentences."
    page = bob.get(answer["Location"]).content.decode()
    assert "23 characters, about 6 tokens instead of 28 and 7 (14 % less)" in page
    assert "<strong>Bob Example</strong> wrote it" in page
    after = {"project_id": None, "name": "Ours", "language": "", "raw_text": guide.raw_text}
    assert events() == [
        (
            "style_guide.created",
            "Bob Example",
            {"name": "Ours", "after": after | {"compressed_text": "# Ours\nShort sentences."}},
        )
    ]


def test_a_changed_text_takes_its_short_form_along_and_the_former_stays_on_record(world: World, bob: Client):
    fields = opened(bob, world.style_guide) | {
        "raw_text": "No colour by name.\n\nNo pixels.",
        "project": world.project.pk,
    }
    assert bob.post(f"{GUIDES}{world.style_guide.pk}/edit", fields).status_code == HTTPStatus.FOUND

    guide = stored(world.style_guide.pk)
    assert (guide.project_id, guide.compressed_text) == (world.project.pk, "No colour by name.\nNo pixels.")
    assert events() == [
        (
            "style_guide.changed",
            "Bob Example",
            {
                "name": "Stylesheets",
                "before": {"project_id": None, "raw_text": "No colour by name.", "compressed_text": ""},
                "after": {
                    "project_id": world.project.pk,
                    "raw_text": "No colour by name.\n\nNo pixels.",
                    "compressed_text": "No colour by name.\nNo pixels.",
                },
            },
        )
    ]
    page = bob.get(f"{GUIDES}{guide.pk}/").content.decode()
    assert "changed the text, where it counts" in page
    (change,) = re.findall(r'href="(\?change=[0-9a-f-]+)#', page)
    assert "side-new" not in page
    assert 'class="diff-text side-new">No pixels.</td>' in bob.get(f"{GUIDES}{guide.pk}/{change}").content.decode()
    bob.post(f"{GUIDES}{guide.pk}/edit", opened(bob, guide))
    assert len(events()) == 1


def test_of_two_who_write_at_once_the_second_sees_both_texts_and_decides(world: World, alice: Client, bob: Client):
    address = f"{GUIDES}{world.style_guide.pk}/edit"
    early, late = opened(alice, world.style_guide), opened(bob, world.style_guide)
    alice.post(address, early | {"raw_text": "Words of Alice."})
    answer = bob.post(address, late | {"raw_text": "Words of Bob."})

    page = answer.content.decode()
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Somebody saved this style guide since you began." in page
    assert "Saved meanwhile by Alice Example" in page
    assert page.count("Words of Alice.") == 2
    assert "Words of Bob.</textarea>" in page
    assert stored(world.style_guide.pk).raw_text == "Words of Alice."

    form = answer.context["form"]
    bob.post(address, {name: form[name].value() or "" for name in form.fields})
    assert stored(world.style_guide.pk).raw_text == "Words of Bob."
    assert events()[-1][2]["before"]["raw_text"] == "Words of Alice."


def test_a_text_outlives_the_guide_that_somebody_removed_meanwhile(world: World, alice: Client, bob: Client):
    address = f"{GUIDES}{world.style_guide.pk}/"
    fields = opened(bob, world.style_guide) | {"raw_text": "Words of Bob."}
    assert "Remove the style guide “Stylesheets”?" in alice.get(f"{address}remove").content.decode()
    assert alice.post(f"{address}remove")["Location"] == GUIDES
    assert alice.post(f"{address}remove").status_code == HTTPStatus.NOT_FOUND
    answer = bob.post(f"{address}edit", fields)

    page = answer.content.decode()
    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "Alice Example removed this style guide since you began." in page
    assert "Words of Bob.</textarea>" in page
    assert f'action="{GUIDES}new"' in page
    assert bob.get(f"{address}edit").status_code == HTTPStatus.NOT_FOUND
    assert [(action, data["before"]["raw_text"]) for action, _, data in events()] == [
        ("style_guide.removed", "No colour by name.")
    ]


def test_a_global_guide_is_copied_and_not_changed(world: World, bob: Client):
    shared = StyleGuideFactory(account=global_account(), name="General", raw_text="Global words.", compressed_text="G.")
    assert "Make our own" in bob.get(f"{GUIDES}{shared.pk}/").content.decode()
    copied = bob.get(f"{GUIDES}new?from={shared.pk}").context["form"]

    assert [copied[name].value() for name in ("name", "raw_text", "compressed_text")] == [
        "General",
        "Global words.",
        "G.",
    ]
    for action in ("edit", "remove"):
        assert bob.post(f"{GUIDES}{shared.pk}/{action}", FIELDS).status_code == HTTPStatus.NOT_FOUND
    assert stored(shared.pk).raw_text == "Global words."


def test_another_accounts_guide_and_project_are_out_of_reach(world: World, bob: Client):
    foreign = StyleGuideFactory(name="Theirs", raw_text="Secret words.")
    assert bob.get(f"{GUIDES}new?from={foreign.pk}").status_code == HTTPStatus.NOT_FOUND
    answer = bob.post(f"{GUIDES}new", FIELDS | {"project": ProjectFactory().pk})

    assert answer.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    with platform():
        assert StyleGuide.objects.filter(name="Ours").count() == 0


def test_a_name_that_is_taken_and_a_text_without_a_rule_are_told_at_their_fields(world: World, bob: Client):
    taken = bob.post(f"{GUIDES}new", FIELDS | {"name": "Stylesheets", "language": " css "})
    empty = bob.post(f"{GUIDES}new", FIELDS | {"raw_text": "<!-- later -->\n---"})
    long = bob.post(f"{GUIDES}new", FIELDS | {"raw_text": "word " * 9_000})

    refused = HTTPStatus.UNPROCESSABLE_ENTITY
    assert [answer.status_code for answer in (taken, empty, long)] == [refused] * 3
    assert "There is a style guide of this name" in taken.context["form"].errors["name"][0]
    assert "Nothing is left of it" in empty.context["form"].errors["raw_text"][0]
    assert "It would send 44,999 characters" in long.context["form"].errors["compressed_text"][0]
    assert events() == []


def test_what_would_be_sent_is_shown_while_it_is_written_and_nothing_is_saved(world: World, bob: Client):
    fields = FIELDS | {"preview": "1"}
    fragment = bob.post(f"{GUIDES}new", fields, headers={"HX-Request": "true"}).content.decode()
    page = bob.post(f"{GUIDES}{world.style_guide.pk}/edit", fields).content.decode()

    assert "23 characters, about 6 tokens instead of 28 and 7 (14 % less)" in fragment
    assert "<html" not in fragment
    assert "# Ours\nShort sentences.</pre>" in page
    assert events() == []
