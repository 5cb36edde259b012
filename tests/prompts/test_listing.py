"""The list of prompts: in pages that leave nothing out, whatever a page ends with, and reads no more than it shows."""

from itertools import pairwise

import pytest
from django.db import connection, connections

from accounts.models import Account
from paid.lib.tenancy import platform, tenant
from prompts.listing import PromptPosition, prompt_page
from prompts.models import Scope
from prompts.querysets import prompts_of
from tests.factories.accounts import AccountFactory
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import PromptFactory, global_prompt, prompt_with_version

MANY = """
INSERT INTO prompts (account_id, scope, slug, name, category)
SELECT id, 'account', 'coding.task_' || n, n, 'coding' FROM generate_series(1, 3000) n, unnest(%s::bigint[]) id
"""


def pages(account: Account, size: int) -> list[list[int]]:
    """All pages, each asked for as its link does."""
    found, after = [], None
    for _ in range(20):
        page = prompt_page(account.pk, after=after, size=size)
        found.append([prompt.pk for prompt in page.prompts])
        if page.next_position is None:
            break
        after = PromptPosition.parse(str(page.next_position))
    return found


@pytest.mark.django_db
@pytest.mark.parametrize("size", [1, 2, 3])
def test_pages_give_every_prompt_once_the_nearest_scope_of_a_slug_first(size: int):
    project = ProjectFactory()
    account = project.account
    for slug in ("coding.b", "coding.b_c", "coding.a"):
        PromptFactory(account=account, slug=slug)
        global_prompt(slug=slug)
        for owner in (ProjectFactory(account=account), project):
            PromptFactory(account=account, slug=slug, project=owner, scope=Scope.PROJECT)
    PromptFactory(slug="coding.b")
    with tenant(account.pk):
        asked = pages(account, size)
        wanted = [prompt.pk for prompt in prompts_of(account.pk)]

    assert [key for page in asked for key in page] == wanted
    assert [len(page) for page in asked[:-1]] == [size] * (len(asked) - 1)


@pytest.mark.django_db
def test_the_global_account_sees_each_of_its_prompts_once():
    shared = global_prompt(slug="coding.x")
    with tenant(0):
        assert [key for page in pages(Account(pk=0), 2) for key in page].count(shared.pk) == 1


@pytest.mark.django_db
def test_a_page_is_two_queries_with_all_that_a_row_shows(django_assert_num_queries):
    prompt = prompt_with_version(slug="coding.x")
    with tenant(prompt.account_id), django_assert_num_queries(2):
        prompts = prompt_page(prompt.account_id, after=None, size=50).prompts
        rows = [
            (row.name, row.scope, row.project, row.current_version and row.current_version.version) for row in prompts
        ]
    assert (prompt.name, "account", None, 1) in rows


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_a_page_reads_as_many_entries_of_the_index_as_it_shows():
    mine, other = AccountFactory(), AccountFactory()
    with platform(), connection.cursor() as cursor:
        cursor.execute(MANY, [[mine.pk, other.pk]])
    with connections["owner"].cursor() as cursor:
        # As autovacuum would, which tests do without.
        cursor.execute("ANALYZE prompts")
    read = []
    with tenant(mine.pk), connection.cursor() as cursor:
        for after in (
            None,
            PromptPosition("coding.task_2", Scope.ACCOUNT),
            PromptPosition("coding.task_2", Scope.GLOBAL),
        ):
            cursor.execute("SELECT pg_stat_get_xact_tuples_returned('prompts_in_order'::regclass)")
            read.append(cursor.fetchone()[0])
            assert len(prompt_page(mine.pk, after=after, size=50).prompts) == 50
        cursor.execute("SELECT pg_stat_get_xact_tuples_returned('prompts_in_order'::regclass)")
        read.append(cursor.fetchone()[0])
    # Fifty, one that says there are more, and the one where the page before ended.
    assert all(51 <= later - earlier <= 52 for earlier, later in pairwise(read))


def test_a_position_survives_the_url_and_nonsense_is_none():
    positions = [
        PromptPosition("coding.x", Scope.PROJECT, 42),
        PromptPosition("coding.x", Scope.ACCOUNT),
        PromptPosition("coding.x", Scope.GLOBAL),
    ]
    assert [PromptPosition.parse(str(position)) for position in positions] == positions
    nonsense = ("", "coding.x", "coding.x~", "coding.x~project", "coding.x~-1", "coding.x~²", "a\0~1", "a~" + "9" * 19)
    assert [PromptPosition.parse(text) for text in nonsense] == [None] * len(nonsense)
