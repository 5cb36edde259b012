"""The search reads past row-level security, so it must keep to the tenant by itself."""

import pytest
from django.db import connection

from paid.lib.tenancy import platform, signed_in, tenant
from tests.factories.accounts import AccountFactory
from tests.factories.prompts import PromptVersionFactory, global_prompt, prompt_with_version


def search(wanted: str) -> list[tuple[int, str]]:
    with connection.cursor() as cursor:
        cursor.execute("SELECT prompt_id, matched_by FROM search_prompts(%s)", [wanted])
        return list(cursor.fetchall())


@pytest.mark.django_db
def test_a_tenant_finds_its_own_and_the_global_prompts():
    account = AccountFactory()
    mine = prompt_with_version(account=account, template="Refactor the parser carefully.")
    shared = global_prompt(template="Refactor nothing.")
    prompt_with_version(template="Refactor the stranger's parser.")
    with tenant(account.pk):
        assert set(search("refactoring")) == {(mine.pk, "words"), (shared.pk, "words")}


@pytest.mark.django_db
def test_a_part_of_a_word_is_found_by_trigrams_after_whole_words():
    account = AccountFactory()
    by_part = prompt_with_version(account=account, template="Reparsering things.")
    by_word = prompt_with_version(account=account, template="The parser.")
    by_name = prompt_with_version(account=account, template="Nothing.", name="My parser")
    with tenant(account.pk):
        found = search("parser")
    assert found[0] == (by_word.pk, "words")
    assert set(found[1:]) == {(by_part.pk, "parts"), (by_name.pk, "parts")}


@pytest.mark.django_db
def test_only_current_versions_are_found():
    account = AccountFactory()
    prompt = prompt_with_version(account=account, template="Current words.")
    PromptVersionFactory(prompt=prompt, version=2, template="A draft about zebras.")
    with tenant(account.pk):
        assert search("zebras") == []


@pytest.mark.django_db
@pytest.mark.parametrize("wanted", ["", "   ", "%", "sol_e", "\\", "'; DROP TABLE prompts", "a & | !"])
def test_signs_with_a_meaning_to_a_search_are_only_signs(wanted):
    account = AccountFactory()
    prompt_with_version(account=account, template="Solve the issue.")
    with tenant(account.pk):
        assert search(wanted) == []


@pytest.mark.django_db
def test_nobody_finds_anything_without_an_account():
    global_prompt(template="Refactor nothing.")
    assert search("refactor") == []
    with signed_in(1):
        assert search("refactor") == []
    with platform():
        assert search("refactor") == []
