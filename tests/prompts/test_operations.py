"""Versions are only added, numbered under the prompt's lock; what changes is which one is current."""

import threading
from collections.abc import Callable
from typing import Any

import pytest
from django.db import connections, transaction
from django.db.utils import DatabaseError

from accounts.models import AuditEvent
from paid.lib.tenancy import platform, tenant
from prompts.errors import NoEarlierVersion, NothingChanged, PromptExists, TemplateRefused, VersionNotOfPrompt
from prompts.models import Prompt, PromptVersion, Scope
from prompts.operations import PromptText, create_prompt, promote, roll_back, save_version, withdraw
from prompts.querysets import prompts_of, versions_of
from prompts.search import search_prompts
from tests.factories.accounts import account_with_owner, global_account
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import prompt_with_version


def first_version(account, owner, template="One {{ issue.title }}", **fields) -> PromptVersion:
    return create_prompt(
        account_id=account.pk,
        slug="coding.x",
        name="X",
        category="coding",
        text=PromptText(template, "Be brief on {{ project.name }}."),
        actor=owner,
        **fields,
    )


@pytest.fixture
def alice():
    """(account, owner)"""
    return account_with_owner()


@pytest.mark.django_db
def test_creating_a_prompt_makes_its_first_version_current_and_says_so_in_the_audit_log(alice):
    account, owner = alice
    with tenant(account.pk, owner.pk):
        version = first_version(account, owner)
        prompt = Prompt.objects.get(slug="coding.x")
        assert (prompt.scope, prompt.current_version_id, version.version) == (Scope.ACCOUNT, version.pk, 1)
        assert version.variables == ["issue.title", "project.name"]
        assert (version.author, version.created_by_id) == (owner.name, owner.pk)
        event = AuditEvent.objects.get()
        assert (event.action, event.object_type, event.object_id) == ("prompt.created", "prompt", str(prompt.pk))
        assert event.actor_user_id == owner.pk
        assert event.data == {"slug": "coding.x", "from_version_id": None, "to_version_id": version.pk, "version": 1}


@pytest.mark.django_db
def test_a_prompt_of_a_project_and_one_of_the_account_share_a_slug_but_two_in_one_scope_do_not(alice):
    account, owner = alice
    project = ProjectFactory(account=account)
    with tenant(account.pk, owner.pk):
        first_version(account, owner)
        version = first_version(account, owner, project=project)
        assert version.prompt.scope == Scope.PROJECT
        with pytest.raises(PromptExists):
            first_version(account, owner)
        assert [(prompt.project_id, prompt.slug) for prompt in prompts_of(account.pk)] == [
            (project.pk, "coding.x"),
            (None, "coding.x"),
        ]


@pytest.mark.django_db
def test_a_template_with_an_unknown_variable_is_refused_and_nothing_is_saved(alice):
    account, owner = alice
    with tenant(account.pk, owner.pk):
        with pytest.raises(TemplateRefused, match=r"Line 2: There is no field `titel`. Did you mean `title`\?"):
            first_version(account, owner, template="One\n{{ issue.titel }}")
        assert Prompt.objects.count() == 0


@pytest.mark.django_db
def test_saving_adds_a_version_with_its_parent_and_makes_it_current(alice):
    account, owner = alice
    with tenant(account.pk, owner.pk):
        first = first_version(account, owner)
        saved = save_version(
            prompt=first.prompt, text=PromptText("Two"), actor=owner, expected_parent=first, change_notes="Shorter"
        )
        assert saved.is_current
        assert saved.newer == ()
        assert (saved.version.version, saved.version.parent_version_id) == (2, first.pk)
        assert [version.version for version in versions_of(first.prompt)] == [2, 1]
        first.refresh_from_db()
        assert first.template == "One {{ issue.title }}"


@pytest.mark.django_db
def test_who_saves_second_keeps_the_text_but_does_not_replace_the_first(alice):
    account, owner = alice
    with tenant(account.pk, owner.pk):
        first = first_version(account, owner)
        winner = save_version(prompt=first.prompt, text=PromptText("Two"), actor=owner, expected_parent=first)
        second = save_version(prompt=first.prompt, text=PromptText("Three"), actor=owner, expected_parent=first)
        assert not second.is_current
        assert second.newer == (winner.version,)
        assert (second.version.version, second.version.template) == (3, "Three")
        assert second.version.parent_version_id == first.pk
        assert Prompt.objects.get().current_version_id == winner.version.pk


@pytest.mark.django_db
def test_a_draft_that_waits_does_not_stand_in_the_way_of_the_next_version(alice):
    account, owner = alice
    with tenant(account.pk, owner.pk):
        first = first_version(account, owner)
        save_version(prompt=first.prompt, text=PromptText("2"), actor=owner, expected_parent=first, is_promoted=False)
        third = save_version(prompt=first.prompt, text=PromptText("3"), actor=owner, expected_parent=first)
        assert (third.version.version, third.is_current) == (3, True)


@pytest.mark.django_db
def test_saving_the_same_text_is_refused(alice):
    account, owner = alice
    with tenant(account.pk, owner.pk):
        first = first_version(account, owner)
        text = PromptText(first.template, first.system_prompt)
        with pytest.raises(NothingChanged):
            save_version(prompt=first.prompt, text=text, actor=owner, expected_parent=first)
        assert PromptVersion.objects.count() == 1


@pytest.mark.django_db
def test_promoting_and_rolling_back_go_through_what_was_current(alice):
    account, owner = alice
    with tenant(account.pk, owner.pk):
        first = first_version(account, owner)
        prompt = first.prompt
        second = save_version(prompt=prompt, text=PromptText("2"), actor=owner, expected_parent=first).version
        draft = save_version(
            prompt=prompt, text=PromptText("3"), actor=owner, expected_parent=second, is_promoted=False
        )
        assert not draft.is_current
    with tenant(account.pk, owner.pk):
        promote(prompt=prompt, version=draft.version, actor=owner)
        assert roll_back(prompt=prompt, actor=owner) == second
        assert roll_back(prompt=prompt, actor=owner) == first
        with pytest.raises(NoEarlierVersion):
            roll_back(prompt=prompt, actor=owner)
        assert Prompt.objects.get().current_version_id == first.pk
        actions = list(AuditEvent.objects.order_by("created_at").values_list("action", flat=True))
    assert sorted(actions) == sorted(
        ["prompt.created"] + ["prompt.version_saved"] * 2 + ["prompt.promoted"] + ["prompt.rolled_back"] * 2
    )


@pytest.mark.django_db
def test_a_version_of_another_prompt_cannot_be_promoted(alice):
    account, owner = alice
    other = prompt_with_version(account=account)
    with tenant(account.pk, owner.pk):
        first = first_version(account, owner)
        foreign = PromptVersion.objects.get(prompt=other)
        with pytest.raises(VersionNotOfPrompt):
            promote(prompt=first.prompt, version=foreign, actor=owner)
        assert Prompt.objects.get(pk=first.prompt_id).current_version_id == first.pk


@pytest.mark.django_db
def test_withdrawing_leaves_the_versions_and_no_current_one(alice):
    account, owner = alice
    with tenant(account.pk, owner.pk):
        first = first_version(account, owner)
        withdraw(prompt=first.prompt, actor=owner)
        assert Prompt.objects.get().current_version_id is None
        promote(prompt=first.prompt, version=first, actor=owner)
        assert Prompt.objects.get().current_version_id == first.pk


@pytest.mark.django_db
def test_a_tenant_can_neither_change_a_global_prompt_nor_anothers(alice):
    account, owner = alice
    theirs = prompt_with_version()
    with platform():
        shared = create_prompt(
            account_id=global_account().pk, slug="a.b", name="A", category="coding", text=PromptText("x"), actor=None
        )
    for prompt in (shared.prompt, theirs):
        with tenant(account.pk, owner.pk), pytest.raises(Prompt.DoesNotExist), transaction.atomic():
            save_version(prompt=prompt, text=PromptText("mine"), actor=owner, expected_parent=None)
    with platform():
        assert PromptVersion.objects.filter(template="mine").count() == 0


@pytest.mark.django_db
def test_the_database_refuses_to_change_a_version(alice):
    account, owner = alice
    with tenant(account.pk, owner.pk):
        first = first_version(account, owner)
        with pytest.raises(DatabaseError), transaction.atomic():
            PromptVersion.objects.filter(pk=first.pk).update(template="Other")
        first.refresh_from_db()
        assert first.template == "One {{ issue.title }}"


@pytest.mark.django_db
def test_search_finds_words_and_parts_of_words_of_the_accounts_and_the_global_prompts(alice):
    account, owner = alice
    prompt_with_version(template="Somebody else implements the feature.")
    with platform():
        shared = create_prompt(
            account_id=0, slug="a.b", name="A", category="coding", text=PromptText("Implement features"), actor=None
        )
    with tenant(account.pk, owner.pk):
        mine = first_version(account, owner, template="Repair the fugue")
        assert [hit.version for hit in search_prompts(text="implementing feature").hits] == [shared]
        assert [hit.version for hit in search_prompts(text="ugu").hits] == [mine]
        assert search_prompts(text="somebody").hits == ()


def together(*works: Callable[[], Any]) -> list[Any]:
    """Run each on a connection of its own, all at once; give what they returned or raised."""
    barrier = threading.Barrier(len(works))
    results: list[Any] = [None] * len(works)

    def run(index: int) -> None:
        barrier.wait(60)
        try:
            results[index] = works[index]()
        except Exception as error:
            results[index] = error
        finally:
            connections.close_all()

    threads = [threading.Thread(target=run, args=(index,)) for index in range(len(works))]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    return results


@pytest.mark.django_db(transaction=True)
def test_eight_people_who_save_at_once_get_eight_numbers_and_lose_no_text():
    account, owner = account_with_owner()
    with tenant(account.pk, owner.pk):
        first = first_version(account, owner)

    def save(text: str) -> Callable[[], object]:
        def work() -> object:
            with tenant(account.pk, owner.pk):
                return save_version(prompt=first.prompt, text=PromptText(text), actor=owner, expected_parent=first)

        return work

    saved = together(*(save(f"Text {number}") for number in range(8)))
    with tenant(account.pk, owner.pk):
        versions = list(PromptVersion.objects.order_by("version"))
        current = Prompt.objects.get().current_version
    assert [version.version for version in versions] == list(range(1, 10))
    assert {version.template for version in versions[1:]} == {f"Text {number}" for number in range(8)}
    assert {version.parent_version_id for version in versions[1:]} == {first.pk}
    assert sorted(outcome.is_current for outcome in saved) == [False] * 7 + [True]
    assert current == versions[1]


@pytest.mark.django_db(transaction=True)
def test_two_who_create_the_same_prompt_at_once_get_one_prompt():
    account, owner = account_with_owner()

    def work() -> object:
        with tenant(account.pk, owner.pk):
            return first_version(account, owner)

    results = together(work, work)
    assert sorted(type(result).__name__ for result in results) == ["PromptExists", "PromptVersion"]
    with tenant(account.pk, owner.pk):
        assert (Prompt.objects.count(), PromptVersion.objects.count()) == (1, 1)
