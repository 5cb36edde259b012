"""The search of prompts: what it finds, in which order, and that it keeps to the tenant."""

import pytest
from django.db import connection

from paid.lib.tenancy import platform, signed_in, tenant
from prompts.models import Prompt, Scope
from prompts.search import Piece, SearchResult, pieces, search_prompts
from tests.factories.accounts import AccountFactory
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import PromptFactory, PromptVersionFactory, global_prompt, prompt_with_version


def ways(result: SearchResult) -> list[tuple[int, str]]:
    return [(hit.prompt.pk, hit.matched_by) for hit in result.hits]


@pytest.fixture
def account(db):
    return AccountFactory()


def test_rdr_003_scenario_2_search_prompt_templates_by_content(account):
    """Scenario: search prompt templates by content. Expected: full-text search returns relevant results."""
    feature = prompt_with_version(account=account, template="Implement the feature. Implementing features is the task.")
    passing = prompt_with_version(account=account, template="Review this. A feature may be implemented " + "so " * 80)
    prompt_with_version(account=account, template="Summarise the discussion.")
    prompt_with_version(template="Implement a stranger's feature.")
    with tenant(account.pk):
        assert [hit.prompt for hit in search_prompts(text="implement feature").hits] == [feature, passing]
        with connection.cursor() as cursor:
            cursor.execute(
                "SELECT prompt_id FROM prompt_versions"
                " WHERE to_tsvector('english', template) @@ plainto_tsquery('english', 'implement feature')"
            )
            assert {row[0] for row in cursor.fetchall()} == {feature.pk, passing.pk}


def test_names_weigh_more_than_templates_and_these_more_than_notes(account):
    by_notes = PromptFactory(account=account)
    version = PromptVersionFactory(prompt=by_notes, template="Nothing.", change_notes="Speaks of migrations")
    with platform():
        Prompt.objects.filter(pk=by_notes.pk).update(current_version=version)
    by_template = prompt_with_version(account=account, template="Write the migration.")
    by_name = prompt_with_version(account=account, template="Nothing.", name="Migration of tables")
    with tenant(account.pk):
        assert [hit.prompt.pk for hit in search_prompts(text="migration").hits] == [
            by_name.pk,
            by_template.pk,
            by_notes.pk,
        ]


def test_words_may_stand_in_different_fields(account):
    prompt = prompt_with_version(account=account, template="Run all tests.", name="Careful refactoring")
    with tenant(account.pk):
        assert ways(search_prompts(text="refactor tests")) == [(prompt.pk, "words")]
        assert ways(search_prompts(text='"refactor tests"')) == []


def test_quotes_minus_and_or_mean_what_they_mean_elsewhere(account):
    row = prompt_with_version(account=account, template="Unit tests come first.")
    apart = prompt_with_version(account=account, template="Tests for each unit.")
    other = prompt_with_version(account=account, template="Documentation only.")
    with tenant(account.pk):
        assert ways(search_prompts(text='"unit tests"')) == [(row.pk, "words")]
        assert ways(search_prompts(text="unit -first")) == [(apart.pk, "words")]
        assert {hit.prompt.pk for hit in search_prompts(text="first or documentation").hits} == {row.pk, other.pk}


def test_a_tenant_finds_its_own_and_the_global_prompts(account):
    mine = prompt_with_version(account=account, template="Refactor the parser carefully.")
    shared = global_prompt(template="Refactor nothing.")
    prompt_with_version(template="Refactor the stranger's parser.")
    with tenant(account.pk):
        assert set(ways(search_prompts(text="refactoring"))) == {(mine.pk, "words"), (shared.pk, "words")}
    with tenant(0):
        assert ways(search_prompts(text="refactoring")) == [(shared.pk, "words")]


def test_a_stranger_s_words_mend_no_typing_error(account):
    prompt_with_version(template="Kubernetes only.")
    prompt_with_version(account=account, template="Nothing of the kind.")
    with tenant(account.pk):
        assert search_prompts(text="kubernets") == SearchResult()


def test_a_part_of_a_word_is_found_after_whole_words(account):
    by_part = prompt_with_version(account=account, template="Reparsering things.")
    by_word = prompt_with_version(account=account, template="The parser.")
    with tenant(account.pk):
        assert ways(search_prompts(text="parser")) == [(by_word.pk, "words"), (by_part.pk, "parts")]
        assert ways(search_prompts(text="pars thi")) == [(by_part.pk, "parts")]


def test_the_shortest_of_very_many_words_that_begin_so_are_looked_for(account):
    longer = " ".join(f"zeb{chr(97 + n % 26)}{chr(97 + n // 26)}que" for n in range(400))
    PromptVersionFactory(prompt=prompt_with_version(account=account), version=2, template=longer)
    meant = prompt_with_version(account=account, template="A zebu, or a reduzebat.")
    with tenant(account.pk):
        assert ways(search_prompts(text="zeb")) == [(meant.pk, "parts")]


def test_words_that_begin_so_leave_room_for_words_that_have_it_within(account):
    within = prompt_with_version(account=account, template="Subparsing.")
    begins = prompt_with_version(account=account, template="Parsing.")
    with tenant(account.pk):
        assert {hit.prompt for hit in search_prompts(text="parsi").hits} == {within, begins}


def test_a_rare_name_is_found_by_its_beginning_behind_hundreds_of_newer_texts_that_say_it(account):
    named = prompt_with_version(account=account, name="Zebra", template="Striped.")
    prompt = prompt_with_version(account=account, name="Other", template="A zebra.")
    PromptVersionFactory.create_batch(305, prompt=prompt, template="A zebra.")
    with tenant(account.pk):
        assert search_prompts(text="zebr", every_version=True).hits[0].prompt == named


def test_prompts_of_projects_are_read_with_their_projects_and_others_without(account, django_assert_num_queries):
    shared = prompt_with_version(account=account, template="A zebra.")
    with tenant(account.pk), django_assert_num_queries(2):
        assert [hit.prompt.project for hit in search_prompts(text="zebra").hits] == [None]
    project = ProjectFactory(account=account)
    of_project = prompt_with_version(account=account, template="A zebra.", scope=Scope.PROJECT, project=project)
    with tenant(account.pk), django_assert_num_queries(3):
        hits = search_prompts(text="zebra").hits
        assert {hit.prompt: hit.prompt.project for hit in hits} == {shared: None, of_project: project}


def test_a_typing_error_finds_what_was_meant_and_says_so(account):
    meant = prompt_with_version(account=account, template="Implement the feature described in the issue.")
    with tenant(account.pk):
        result = search_prompts(text="implment feture")
    assert ways(result) == [(meant.pk, "likeness")]
    assert result.understood_as == "implement feature"
    assert result.hits[0].headline == (
        Piece("Implement", True),
        Piece(" the ", False),
        Piece("feature", True),
        Piece(" described in the issue", False),
    )


@pytest.mark.parametrize("typed", ["slove", "sove", "solvve", "sokve", "olve", "prompting evlauations"])
def test_one_letter_missing_too_many_wrong_or_in_its_neighbours_place_is_understood(account, typed):
    meant = prompt_with_version(account=account, template="Solve it by prompting and evaluation.")
    with tenant(account.pk):
        assert [hit.prompt for hit in search_prompts(text=typed).hits] == [meant]


def test_a_short_name_is_found_behind_hundreds_of_newer_texts_that_say_it(account):
    named = prompt_with_version(account=account, name="Zebra", template="Striped.")
    prompt = prompt_with_version(account=account, name="Other", template="A zebra.")
    PromptVersionFactory.create_batch(305, prompt=prompt, template="A zebra.")
    with tenant(account.pk):
        assert search_prompts(text="zebra", every_version=True).hits[0].prompt == named


def test_a_word_that_is_like_none_finds_nothing(account):
    prompt_with_version(account=account, template="Implement the feature.")
    with tenant(account.pk):
        assert search_prompts(text="implment zebra") == SearchResult()


def test_only_versions_in_use_are_found_unless_all_are_asked_for(account):
    prompt = prompt_with_version(account=account, template="Current words.")
    draft = PromptVersionFactory(prompt=prompt, version=2, template="A draft about zebras.")
    with tenant(account.pk):
        assert ways(search_prompts(text="zebras")) == []
        assert [hit.version for hit in search_prompts(text="zebras", every_version=True).hits] == [draft]
        Prompt.objects.filter(pk=prompt.pk).update(current_version=draft)
        assert [hit.version for hit in search_prompts(text="zebras").hits] == [draft]
        assert ways(search_prompts(text="current")) == []
        Prompt.objects.filter(pk=prompt.pk).update(current_version=None)
        assert ways(search_prompts(text="zebras")) == []


def test_a_new_name_is_found_at_once_and_the_old_one_no_more(account):
    prompt = prompt_with_version(account=account, template="Nothing.", name="Alpha")
    with tenant(account.pk):
        Prompt.objects.filter(pk=prompt.pk).update(name="Gamma")
        assert ways(search_prompts(text="gamma")) == [(prompt.pk, "words")]
        assert ways(search_prompts(text="alpha")) == []


def test_names_of_slugs_and_variables_are_found_by_their_parts(account):
    prompt = prompt_with_version(account=account, slug="coding.fix_ci", template="Solve {{ issue.title }} a/b now.")
    with tenant(account.pk):
        for text in ("coding.fix_ci", "fix ci", "issue.title", "title"):
            assert ways(search_prompts(text=text)) == [(prompt.pk, "words")]
        (hit,) = search_prompts(text="title").hits
    assert hit.headline == (
        Piece("Solve {{ issue.", False),
        Piece("title", True),
        Piece(" }} a/b now", False),
    )


def test_a_hit_in_a_long_text_shows_its_surroundings(account):
    prompt_with_version(account=account, template="Before. " * 200 + "Beware of <zebras> & lions. " + "After. " * 200)
    with tenant(account.pk):
        (hit,) = search_prompts(text="zebra").hits
    assert Piece("zebras", True) in hit.headline
    assert len("".join(piece.text for piece in hit.headline)) < 300


def test_signs_of_private_use_in_a_text_mark_nothing():
    assert pieces("a \ue000hit\ue001 b\ue002c \ue001 d") == (
        Piece("a ", False),
        Piece("hit\ue001 b.c ", True),
        Piece(" d", False),
    )
    assert pieces("") == ()


@pytest.mark.parametrize(
    "wanted",
    ["", "   ", "%", "sol_e", "\\", "'; DROP TABLE", "a & | !", "\0", "-", '"', "the", "((", "<->", ":*", "\ue000"],
)
def test_signs_with_a_meaning_to_a_search_are_only_signs(account, wanted):
    prompt_with_version(account=account, slug="x", name="Y", template="Solve the issue.")
    with tenant(account.pk):
        assert search_prompts(text=wanted) == SearchResult()
        assert search_prompts(text=wanted, every_version=True) == SearchResult()


@pytest.mark.django_db
def test_nobody_finds_anything_without_an_account():
    global_prompt(template="Refactor nothing.")
    with signed_in(1):
        assert search_prompts(text="refactor") == SearchResult()
    assert search_prompts(text="refactor") == SearchResult()
