"""The tables behind the newest by label, scope and variable: what their columns say, read from the end.

Those of issues are in tests/projects/test_issue_labels.py.
"""

from typing import Any

import pytest
from django.db import ProgrammingError, connection, connections
from django.db.models import QuerySet

from accounts.models import GithubToken
from paid.lib.sql import statement
from paid.lib.tenancy import platform, tenant
from projects.models import Project
from prompts.models import PromptVersion
from tests.factories.accounts import AccountFactory, GithubTokenFactory
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import PromptVersionFactory

KEPT_LABELS = "SELECT project_id, jsonb_agg(label ORDER BY label) FROM project_labels GROUP BY 1 ORDER BY 1"
KEPT_SCOPES = "SELECT token_id, array_agg(scope ORDER BY scope) FROM github_token_scopes GROUP BY 1 ORDER BY 1"
KEPT_VARIABLES = (
    "SELECT version_id, array_agg(variable ORDER BY variable) FROM prompt_version_variables"
    " WHERE account_id <> 0 GROUP BY 1"
)
OF_PAST_PROJECTS = statement("projects", "labels_of_past_projects", "labels_of_past_projects")
OF_PAST_TOKENS = statement("accounts", "scopes_of_past_tokens", "scopes_of_past_tokens")
OF_PAST_VERSIONS = statement("prompts", "variables_of_past_versions", "variables_of_past_versions")
# Each second of 2,400 is even: half of them are the newest of a common label, and most of the index is never read.
MANY_PROJECTS = """
INSERT INTO projects (account_id, name, forge, owner, repo, labels)
SELECT %s, n, 'local', 'many', n, jsonb_build_object('half', mod(n, 2)::text) FROM generate_series(1, 2400) n
"""
MANY_TOKENS = """
INSERT INTO github_tokens (account_id, name, token, fingerprint, scopes)
SELECT %s, n, '', decode(md5(n::text), 'hex'), ARRAY['half-' || mod(n, 2)] FROM generate_series(1, 2400) n
"""
MANY_VERSIONS = """
INSERT INTO prompt_versions (account_id, prompt_id, version, template, variables, author)
SELECT %s, %s, n, n::text, jsonb_build_array('issue', 'half_' || mod(n, 2)), '' FROM generate_series(2, 2400) n
"""
TABLES = ("project_labels", "github_token_scopes", "prompt_version_variables")
WITH_THE_OWNER = pytest.mark.django_db(transaction=True, databases=["default", "owner"])


def kept() -> tuple[dict[int, object], ...]:
    def rows_of(query: str) -> dict[int, object]:
        with connections["owner"].cursor() as cursor:
            cursor.execute(query)
            return dict(cursor.fetchall())

    return tuple(rows_of(query) for query in (KEPT_LABELS, KEPT_SCOPES, KEPT_VARIABLES))


@WITH_THE_OWNER
def test_they_follow_every_change_and_can_be_filled_for_the_rows_of_the_past():
    project = ProjectFactory(labels={"trigger": "paid", "plan": "free"})
    token = GithubTokenFactory(account=project.account, scopes=["repo", "workflow", "repo"])
    ProjectFactory(labels={})
    GithubTokenFactory(scopes=[])
    version = PromptVersionFactory(
        prompt__account=project.account, variables=["issue.title", "extra.length", "issue.title"]
    )
    PromptVersionFactory(prompt__account=project.account, variables=[])
    with tenant(project.account_id):
        Project.objects.filter(pk=project.pk).update(name="Another", labels={"plan": "Ünder way", "trigger": "paid"})
        GithubToken.objects.filter(pk=token.pk).update(scopes=["repo", "admin:org"])
    seen = kept()
    assert seen == (
        {project.pk: '[{"plan": "Ünder way"}, {"trigger": "paid"}]'},
        {token.pk: ["admin:org", "repo"]},
        {version.pk: ["extra.length", "issue.title"]},
    )

    with connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM project_labels")
        cursor.execute("DELETE FROM github_token_scopes WHERE scope = 'repo'")
        cursor.execute("DELETE FROM prompt_version_variables")
        cursor.execute(OF_PAST_PROJECTS)
        cursor.execute(OF_PAST_TOKENS)
        cursor.execute(OF_PAST_VERSIONS)
    assert kept() == seen


@pytest.mark.django_db
def test_a_row_that_is_given_to_another_account_is_found_there_alone():
    project, token = ProjectFactory(labels={"plan": "free"}), GithubTokenFactory(scopes=["repo"])
    with platform():
        account = AccountFactory()
        Project.objects.filter(pk=project.pk).update(account=account, labels={"plan": "pro"})
        GithubToken.objects.filter(pk=token.pk).update(account=account)
    for account_id, found in ((account.pk, 1), (project.account_id, 0), (token.account_id, 0)):
        with tenant(account_id):
            assert len(Project.objects.labelled(9, plan="pro")) == found
            assert len(GithubToken.objects.with_scope("repo", newest=9)) == found


@pytest.mark.django_db
def test_a_label_that_is_no_text_or_too_long_for_an_index_is_found_all_the_same():
    account = AccountFactory()
    long = "x" * 5000
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO projects (account_id, name, forge, owner, repo, labels)"
            """ VALUES (%s, 'Odd', 'local', 'odd', 'odd', '{"number": 5, "nested": {"text": "deep"}, "none": null}'),"""
            " (%s, 'Long', 'local', 'odd', 'long', jsonb_build_object('long', %s::text))",
            [account.pk, account.pk, long],
        )
    with tenant(account.pk):
        for labels, name in (({"number": 5}, "Odd"), ({"nested": {"text": "deep"}}, "Odd"), ({"long": long}, "Long")):
            assert [row.name for row in Project.objects.labelled(9, **labels)] == [name]
        assert not Project.objects.labelled(9, number="5")


@WITH_THE_OWNER
def test_the_newest_cost_as_many_entries_as_are_asked_for():
    account = AccountFactory()
    with platform(), connection.cursor() as cursor:
        cursor.execute(MANY_PROJECTS, [account.pk])
        cursor.execute(MANY_TOKENS, [account.pk])
        cursor.execute(MANY_VERSIONS, [account.pk, PromptVersionFactory(prompt__account=account, version=1).prompt_id])
    with connections["owner"].cursor() as cursor:
        # As autovacuum would, which tests do without.
        cursor.execute(f"ANALYZE projects, github_tokens, prompt_versions, {', '.join(TABLES)}")
    searches: dict[str, tuple[QuerySet[Any], str]] = {
        "project_labels_newest": (Project.objects.labelled(50, half="1"), "name"),
        "github_token_scopes_newest": (GithubToken.objects.with_scope("half-1", newest=50), "name"),
        "prompt_version_variables_newest": (PromptVersion.objects.using_variable("half_1", newest=50), "version"),
    }
    with tenant(account.pk), connection.cursor() as cursor:
        for index, (rows, number) in searches.items():
            cursor.execute("SELECT pg_stat_get_xact_tuples_returned(%s::regclass)", [index])
            before = cursor.fetchone()[0]
            assert sorted(int(getattr(row, number)) for row in rows) == list(range(2301, 2400, 2))
            cursor.execute("SELECT pg_stat_get_xact_tuples_returned(%s::regclass)", [index])
            assert cursor.fetchone()[0] - before == 50


@pytest.mark.django_db
@pytest.mark.parametrize("query", [f"TABLE {table}" for table in TABLES])
def test_nobody_but_the_owner_reads_them(query: str):
    account_id = AccountFactory().pk
    with pytest.raises(ProgrammingError, match="permission denied"), tenant(account_id), connection.cursor() as cursor:
        cursor.execute(query)
