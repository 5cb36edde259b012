"""The table behind the search for issues by label: the same as their column, and read from the newest."""

from itertools import chain, combinations

import pytest
from django.db import ProgrammingError, connection, connections

from paid.lib.tenancy import platform, tenant
from projects.models import Issue, Project
from tests.factories.projects import IssueFactory, ProjectFactory

KEPT = "SELECT issue_id, array_agg(label ORDER BY label) FROM issue_labels GROUP BY 1 ORDER BY 1"
OF_COLUMN = """
SELECT id, (SELECT array_agg(DISTINCT name ORDER BY name) FROM jsonb_array_elements_text(labels) AS name)
FROM issues WHERE labels <> '[]' ORDER BY 1
"""
# Each second issue of 2,400 is even, the others odd; each has a label of its own, and the oldest is both.
MANY = """
INSERT INTO issues (account_id, project_id, number, title, labels)
SELECT account_id, id, n, n, jsonb_build_array('n-' || n, CASE WHEN mod(n, 2) = 0 THEN 'even' ELSE 'odd' END)
       || CASE WHEN n = 1 THEN '["even"]' ELSE '[]' END::jsonb
FROM projects, generate_series(1, 2400) n WHERE id = %s
"""


def ask(query: str) -> list[tuple[int, list[str]]]:
    with connections["owner"].cursor() as cursor:
        cursor.execute(query)
        return list(cursor.fetchall())


def newest(*labels: str, size: int) -> list[int]:
    return sorted(Issue.objects.labelled(*labels, newest=size).values_list("number", flat=True), reverse=True)


@pytest.fixture
def many(db: None) -> Project:
    project: Project = ProjectFactory()
    with platform(), connection.cursor() as cursor:
        cursor.execute(MANY, [project.pk])
    return project


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_it_follows_every_change_of_the_column_and_can_be_made_anew():
    project = ProjectFactory()
    first = IssueFactory(project=project, labels=["bug", "paid", "bug"])
    second = IssueFactory(project=project, labels=[])
    with tenant(project.account_id):
        Issue.objects.filter(pk=first.pk).update(labels=["paid", "Ünder way", "a" * 100])
        Issue.objects.filter(pk=second.pk).update(labels=["bug"])
        Issue.objects.bulk_create(
            [
                Issue(account_id=project.account_id, project=project, number=90 + n, title="x", labels=["bug"] * n)
                for n in (0, 1, 2)
            ]
        )
        Issue.objects.filter(pk=first.pk).update(title="Another", labels=["paid", "Ünder way"])
    kept = ask(KEPT)
    assert kept == ask(OF_COLUMN)
    assert kept[0] == (first.pk, ["paid", "Ünder way"])

    with connections["owner"].cursor() as cursor:
        cursor.execute("DELETE FROM issue_labels WHERE issue_id = %s", [first.pk])
        cursor.execute("UPDATE issue_labels SET label = 'wrong' WHERE issue_id = %s", [second.pk])
        cursor.execute("SELECT label_issues(0, %s)", [first.pk + 1000])
    assert ask(KEPT) == kept


@pytest.mark.django_db
def test_what_is_no_name_is_not_found_by_one():
    project = ProjectFactory()
    with platform(), connection.cursor() as cursor:
        for number, labels in enumerate(('[5, "6", null, ["7"]]', '{"8": "9"}', '"10"'), 1):
            cursor.execute(
                "INSERT INTO issues (account_id, project_id, number, title, labels) VALUES (%s, %s, %s, '', %s::jsonb)",
                [project.account_id, project.pk, number, labels],
            )
    with tenant(project.account_id):
        assert [newest(name, size=9) for name in ("5", "6", "7", "8", "9", "10")] == [[], [1], [], [], [], []]


@pytest.mark.django_db
def test_several_labels_are_found_together_whichever_is_the_rarest():
    project = ProjectFactory()
    names = ("a", "b", "c")
    sets = list(chain.from_iterable(combinations(names, size) for size in range(4)))
    for number, labels in enumerate(sets * 2, 1):
        IssueFactory(project=project, number=number, labels=list(labels))
        IssueFactory(labels=list(labels))
    with tenant(project.account_id):
        for wanted in sets:
            matching = [number for number, labels in enumerate(sets * 2, 1) if set(wanted) <= set(labels)][::-1]
            assert [newest(*wanted, size=size) for size in (1, 3, 50)] == [matching[:1], matching[:3], matching[:50]]


def test_labels_that_are_common_and_seldom_together_are_found_all_the_same(many: Project):
    with tenant(many.account_id):
        assert newest("odd", "even", size=50) == [1]
        assert newest("odd", "n-7", size=50) == [7]
        assert newest("even", "n-7", size=50) == []


@pytest.mark.django_db(transaction=True, databases=["default", "owner"])
def test_the_newest_of_a_common_label_cost_as_many_entries_as_are_asked_for():
    project = ProjectFactory()
    with platform(), connection.cursor() as cursor:
        cursor.execute(MANY, [project.pk])
    with connections["owner"].cursor() as cursor:
        # As autovacuum would, which tests do without.
        cursor.execute("ANALYZE issues, issue_labels")
    with tenant(project.account_id), connection.cursor() as cursor:
        read = []
        for _ in range(2):
            cursor.execute("SELECT pg_stat_get_xact_tuples_returned('issue_labels_newest'::regclass)")
            read.append(cursor.fetchone()[0])
            assert newest("odd", size=50) == list(range(2399, 2299, -2))
    assert read[1] - read[0] == 50


@pytest.mark.django_db
@pytest.mark.parametrize("statement", ["SELECT * FROM issue_labels", "SELECT label_issues(0, 1)"])
def test_nobody_but_the_owner_touches_it(statement: str):
    account_id = ProjectFactory().account_id
    with pytest.raises(ProgrammingError, match="permission denied"), tenant(account_id), connection.cursor() as cursor:
        cursor.execute(statement)
