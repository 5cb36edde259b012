"""The issues that a prompt can be tried on: the newest, and no more is read for them, as the tenant."""

import pytest
from django.db import connection, connections

from dashboard.views.prompt_trials import ISSUES_OFFERED, issues_for
from paid.lib.tenancy import tenant
from projects.models import Issue, Project
from tests.factories.projects import ProjectFactory
from tests.factories.prompts import PromptFactory

MANY = 2_000
SEED = """
INSERT INTO issues (account_id, project_id, number, title)
SELECT %(account)s, %(project)s, n, 'Mend part ' || n FROM generate_series(1, %(many)s) n
"""
# Entries that were read of any of its indexes, and scans of the whole table.
READ = """
SELECT sum(pg_stat_get_xact_tuples_returned(indexrelid)), pg_stat_get_xact_numscans('issues'::regclass)
FROM pg_index WHERE indrelid = 'issues'::regclass
"""


def seed(project: Project) -> None:
    with connections["owner"].cursor() as cursor:
        cursor.execute(SEED, {"account": project.account_id, "project": project.pk, "many": MANY})
        cursor.execute("ANALYZE issues, projects")


def read() -> tuple[int, int]:
    with connection.cursor() as cursor:
        cursor.execute(READ)
        return tuple(cursor.fetchone())


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_newest_issues_are_offered_and_no_other_is_read():
    older = ProjectFactory()
    newer = ProjectFactory(account=older.account)
    for project in (older, newer):
        seed(project)
    general = PromptFactory(account=older.account)
    of_older = PromptFactory(account=older.account, project=older, scope="project")
    for prompt, project in ((general, newer), (of_older, older)):
        newest = Issue.objects.using("owner").filter(project=project).order_by("-number")[:ISSUES_OFFERED]
        with tenant(older.account_id):
            before = read()
            offered = issues_for(older.account_id, prompt)
            walked, scans = (now - then for now, then in zip(read(), before, strict=True))
            assert [issue.pk for issue in offered] == [issue.pk for issue in newest]
            assert {issue.project for issue in offered} == {project}
            assert (walked, scans) == (ISSUES_OFFERED, 0)
