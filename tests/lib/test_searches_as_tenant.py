"""Typed searches by JSONB and array: what they find, for whom, and by which index.

The evidence for an index is PostgreSQL's own count, in this transaction, of the entries that were read from it and of
the scans of the whole table: a plan that is shown may be another than the one that ran.
"""

from collections.abc import Callable
from typing import Any

import pytest
from django.db import connection, connections
from django.db.models import QuerySet
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from accounts.models import Account, GithubToken, Role
from paid.lib.tenancy import platform, signed_in, tenant
from projects.models import Issue, Project
from prompts.models import PromptVersion
from tests.factories.accounts import AccountFactory, GithubTokenFactory, MembershipFactory
from tests.factories.projects import IssueFactory, ProjectFactory
from tests.factories.prompts import PromptVersionFactory, global_prompt

READ = "SELECT pg_stat_get_xact_tuples_returned(%s::regclass), pg_stat_get_xact_numscans(%s::regclass)"
# Enough rows, of two accounts, that reading the table would cost more than its index.
SEED = {
    "projects": """
        INSERT INTO projects (account_id, name, forge, owner, repo, labels, settings)
        SELECT account_id, n, 'local', 'many', n, jsonb_build_object('plan', 'plan-' || n),
               jsonb_build_object('language', 'language-' || n)
        FROM generate_series(1, 3000) n, unnest(%(ids)s::bigint[]) account_id""",
    "issues": """
        INSERT INTO issues (account_id, project_id, number, title, labels)
        SELECT p.account_id, p.id, n, n, jsonb_build_array('area-' || n)
        FROM generate_series(1, 3000) n, projects p WHERE p.owner = 'many' AND p.repo = '1'""",
    "github_tokens": """
        INSERT INTO github_tokens (account_id, name, token, fingerprint, scopes)
        SELECT account_id, n, '', decode(md5(n::text), 'hex'), ARRAY['repo', 'scope-' || n]
        FROM generate_series(1, 3000) n, unnest(%(ids)s::bigint[]) account_id""",
    "prompt_versions": """
        WITH made AS (
            INSERT INTO prompts (account_id, scope, slug, name, category)
            SELECT id, 'account', 'many', 'Many', 'coding' FROM unnest(%(ids)s::bigint[]) id RETURNING id, account_id)
        INSERT INTO prompt_versions (account_id, prompt_id, version, template, variables)
        SELECT account_id, id, n, 'Say it.', jsonb_build_array('extra.field_' || n)
        FROM generate_series(1, 3000) n, made""",
    "accounts": """
        INSERT INTO accounts (name, slug, settings) SELECT n, 'many-' || n, jsonb_build_object('region', 'region-' || n)
        FROM generate_series(1, 3000) n""",
}


def read(index: str, table: str) -> tuple[int, int]:
    """Entries read from the index and scans of the whole table, so far: only differences say something."""
    with connection.cursor() as cursor:
        cursor.execute(READ, [index, table])
        entries, scans = cursor.fetchone()
        return entries, scans


def found(rows: QuerySet[Any]) -> set[int]:
    return set(rows.values_list("pk", flat=True))


WITH_STATISTICS = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


@pytest.fixture
def two_accounts_with_many_rows() -> tuple[int, int]:
    mine, other = AccountFactory(), AccountFactory()
    with platform(), connection.cursor() as cursor:
        for statement in SEED.values():
            cursor.execute(statement, {"ids": [mine.pk, other.pk]})
    with connections["owner"].cursor() as cursor:
        # As autovacuum would, which tests do without: what other tests left of rows would be read, too.
        cursor.execute(f"VACUUM (ANALYZE) {', '.join(SEED)}")
    return mine.pk, other.pk


@WITH_STATISTICS
def test_each_search_uses_its_index_as_the_tenant(two_accounts_with_many_rows: tuple[int, int]):
    searches: dict[str, tuple[str, Callable[[], QuerySet[Any]]]] = {
        "projects_labels": ("projects", lambda: Project.objects.labelled(plan="plan-7")),
        "projects_settings": ("projects", lambda: Project.objects.with_setting(language="language-7")),
        "issues_labels": ("issues", lambda: Issue.objects.labelled("area-7")),
        "github_tokens_scopes": ("github_tokens", lambda: GithubToken.objects.with_scope("repo", "scope-7")),
        "prompt_versions_variables": (
            "prompt_versions",
            lambda: PromptVersion.objects.using_variable("extra.field_7"),
        ),
    }
    seen = {}
    with tenant(two_accounts_with_many_rows[0]), connection.cursor() as cursor:
        cursor.execute("SELECT current_user::text")
        assert cursor.fetchone() == ("paid_tenant",)
        for index, (table, search) in searches.items():
            entries, scans = read(index, table)
            rows = len(search())
            seen[index] = (rows, read(index, table)[0] - entries, read(index, table)[1] - scans)
    # The one row of the tenant's own came by one entry of the index, and the table was never read from end to end.
    assert seen == dict.fromkeys(searches, (1, 1, 0))


@WITH_STATISTICS
def test_without_the_function_every_row_of_the_tenant_is_read(two_accounts_with_many_rows: tuple[int, int]):
    """The reason for the functions: when this fails, PostgreSQL has learnt to do without them."""
    with tenant(two_accounts_with_many_rows[0]):
        entries, scans = read("issues_labels", "issues")
        assert len(Issue.objects.filter(labels__contains=["area-7"])) == 1
        # By the account alone, with this index or another one: the label was compared in each of its issues.
        assert read("issues_labels", "issues") in ((entries + 3000, scans), (entries, scans), (entries, scans + 1))


@WITH_STATISTICS
def test_accounts_are_read_by_key_as_a_tenant_and_by_setting_as_the_platform(
    two_accounts_with_many_rows: tuple[int, int],
):
    seen = []
    # The first visitor is a member of one of them, and acts for another.
    member = MembershipFactory(account=Account(pk=two_accounts_with_many_rows[1]), role=Role.MEMBER)
    for identity in (tenant(two_accounts_with_many_rows[0], member.user_id), signed_in(member.user_id), platform()):
        with identity:
            (by_key, scans), (by_setting, _) = read("accounts_pkey", "accounts"), read("accounts_settings", "accounts")
            rows = len(Account.objects.with_setting(region="region-7"))
            key, setting = read("accounts_pkey", "accounts"), read("accounts_settings", "accounts")
            seen.append((rows, key[0] - by_key, setting[0] - by_setting, key[1] - scans))
    # Rows; entries read by key and by setting; scans of the whole table. A tenant reads the account it acts for, those
    # of its memberships, and the global one; who acts for none looks at the latter two.
    assert seen == [(0, 3, 0, 0), (0, 2, 0, 0), (1, 0, 1, 0)]


@pytest.mark.django_db
def test_rdr_003_scenario_1_create_account_with_jsonb_settings():
    """Scenario: create account with JSONB settings. Expected: settings stored and queryable via JSON operators."""
    kept = {"theme": "dark", "seats": 5, "notify": {"mail": True, "on": ["failure"]}}
    account = AccountFactory(settings=kept)
    AccountFactory(settings={"theme": "light", "seats": 5})
    with tenant(account.pk):
        assert Account.objects.get(pk=account.pk).settings == kept
        assert found(Account.objects.with_setting(theme="dark")) == {account.pk}
        assert found(Account.objects.with_setting(notify={"mail": True})) == {account.pk}
        assert found(Account.objects.with_setting(theme="light")) == set()
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT id FROM accounts WHERE settings->>'theme' = 'dark' AND settings @> '{\"seats\": 5}'"
            " AND settings #>> '{notify,on,0}' = 'failure' AND settings ? 'notify'"
        )
        assert cursor.fetchall() == [(account.pk,)]


@pytest.mark.django_db
def test_searches_find_all_that_is_asked_for_and_nothing_of_a_stranger():
    project = ProjectFactory(labels={"plan": "paid-plan", "build": "b"}, settings={"limits": {"turns": 5}})
    ProjectFactory(account=project.account, labels={"plan": "other"})
    ProjectFactory(labels={"plan": "paid-plan", "build": "b"}, settings={"limits": {"turns": 5}})
    old, new = (IssueFactory(project=project, labels=labels) for labels in (["bug", "paid"], ["bug"]))
    IssueFactory(labels=["bug", "paid"])
    token = GithubTokenFactory(account=project.account, scopes=["repo", "workflow"])
    GithubTokenFactory(scopes=["repo", "workflow"])
    shared = global_prompt().current_version
    assert shared is not None
    mine = PromptVersionFactory(prompt__account=project.account, variables=["issue.title", "project.name"])
    PromptVersionFactory(variables=["issue.title"])
    with tenant(project.account_id):
        assert found(Project.objects.labelled(plan="paid-plan", build="b")) == {project.pk}
        assert found(Project.objects.with_setting(limits={"turns": 5})) == {project.pk}
        assert found(Project.objects.with_setting(limits={"turns": 6})) == set()
        assert found(Issue.objects.labelled("bug")) == {old.pk, new.pk}
        assert found(Issue.objects.labelled("bug", newest=1)) == {new.pk}
        assert found(Issue.objects.labelled("bug", "paid")) == {old.pk}
        assert found(Issue.objects.labelled("bug").filter(pk=old.pk)) == {old.pk}
        assert found(Issue.objects.exclude(pk=old.pk).labelled("bug")) == {new.pk}
        assert found(GithubToken.objects.with_scope("repo")) == {token.pk}
        assert found(GithubToken.objects.with_scope("repo", "admin:org")) == set()
        assert found(PromptVersion.objects.using_variable("project.name", "issue.title")) == {mine.pk}
    assert found(Project.objects.labelled(plan="paid-plan")) == set()


@pytest.mark.django_db
def test_the_newest_are_the_last_of_those_that_are_asked_for():
    older = ProjectFactory(labels={"newest": "no"}, settings={"limits": {"turns": 5}})
    newer = ProjectFactory(account=older.account, labels=older.labels, settings=older.settings)
    without = ProjectFactory(account=older.account)
    token = GithubTokenFactory(account=older.account, scopes=["repo"])
    latest = GithubTokenFactory(account=older.account, scopes=["repo"])
    with tenant(older.account_id):
        # A label may be called so, too.
        assert found(Project.objects.labelled(newest="no")) == {older.pk, newer.pk}
        assert found(Project.objects.labelled(1, newest="no")) == {newer.pk}
        assert found(Project.objects.labelled(1)) == {without.pk}
        assert found(Project.objects.with_setting(1, limits={"turns": 5})) == {newer.pk}
        assert found(GithubToken.objects.with_scope("repo")) == {token.pk, latest.pk}
        assert found(GithubToken.objects.with_scope("repo", newest=1)) == {latest.pk}
        assert found(GithubToken.objects.with_scope("repo", "admin:org", newest=1)) == set()


@pytest.mark.django_db
def test_a_global_version_is_found_by_its_variables():
    shared = PromptVersionFactory(prompt=global_prompt(), version=2, variables=["issue.title"])
    with tenant(AccountFactory().pk):
        assert found(PromptVersion.objects.using_variable("issue.title")) == {shared.pk}
    with tenant(0):
        assert list(PromptVersion.objects.using_variable("issue.title")) == [shared]


TEXTS = st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=8)
LABELS = st.dictionaries(st.sampled_from(["plan", "build", "a b", '"']), TEXTS, max_size=3)
SCOPES = st.lists(st.sampled_from(["repo", "repo:status", "admin:org", "{}", ""]), max_size=3)


@pytest.mark.django_db
@settings(max_examples=20, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(labels=st.lists(LABELS, min_size=1, max_size=4), scopes=st.lists(SCOPES, min_size=1, max_size=4), data=st.data())
def test_the_forms_of_the_requirement_and_the_searches_give_the_same_rows(
    labels: list[dict[str, str]], scopes: list[list[str]], data: st.DataObject
):
    account = AccountFactory()
    for number in range(max(len(labels), len(scopes))):
        ProjectFactory(account=account, labels=labels[number % len(labels)])
        GithubTokenFactory(account=account, scopes=scopes[number % len(scopes)])
    name = data.draw(st.sampled_from(["plan", "build", "a b", '"']))
    value = data.draw(st.sampled_from([kept[name] for kept in labels if name in kept] or ["none"]))
    scope = data.draw(st.sampled_from(["repo", "admin:org", "{}", ""]))
    with tenant(account.pk), connection.cursor() as cursor:
        cursor.execute("SELECT id FROM projects WHERE labels->>%s = %s", [name, value])
        same = {row[0] for row in cursor.fetchall()}
        assert found(Project.objects.labelled(**{name: value})) == same
        assert found(Project.objects.labelled(50, **{name: value})) == same
        cursor.execute("SELECT id FROM github_tokens WHERE %s = ANY (scopes)", [scope])
        same = {row[0] for row in cursor.fetchall()}
        assert found(GithubToken.objects.with_scope(scope)) == same
        assert found(GithubToken.objects.with_scope(scope, newest=50)) == same


@pytest.mark.django_db
def test_the_newest_versions_that_use_a_variable_are_the_tenants_own_and_the_global_ones():
    general, account = global_prompt(), AccountFactory()
    older = PromptVersionFactory(prompt__account=account, variables=["issue.title", "extra.rare"])
    newer = PromptVersionFactory(prompt__account=account, variables=["issue.title"])
    PromptVersionFactory(variables=["issue.title"])
    shared = PromptVersionFactory(prompt=general, version=2, variables=["issue.title"])
    with tenant(account.pk):
        assert found(PromptVersion.objects.using_variable("extra.rare", newest=9)) == {older.pk}
        assert found(PromptVersion.objects.using_variable("issue.title", newest=1)) == {shared.pk}
        assert found(PromptVersion.objects.using_variable("issue.title", newest=2)) == {shared.pk, newer.pk}
        assert found(PromptVersion.objects.using_variable("issue.title", "extra.rare", newest=2)) == {older.pk}
        assert found(PromptVersion.objects.using_variable("no.such", newest=2)) == set()
