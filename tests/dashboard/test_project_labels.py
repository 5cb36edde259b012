"""A project's issues by their labels: the filter stands in the address and takes the index that the tenant has."""

import re

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from tests.dashboard.world import World
from tests.factories.projects import IssueFactory, ProjectFactory


@pytest.fixture
def page(world: World) -> str:
    for number, labels in ((71, ["bug"]), (72, ["bug", "ui & ux"]), (73, ["ui & ux"]), (74, [])):
        IssueFactory(project=world.project, number=number, labels=labels)
    elsewhere = ProjectFactory(account=world.project.account)
    IssueFactory(project=elsewhere, number=75, labels=["bug"])
    return reverse("project", args=["northwind", world.project.pk])


def numbers(html: str) -> set[int]:
    return {number for found in re.findall(r"<span>#(\d+)</span>", html) if 70 < (number := int(found)) < 80}


def test_labels_narrow_a_project_s_issues_to_those_that_have_all_of_them(page: str, vera: Client):
    assert numbers(vera.get(page).content.decode()) == {71, 72, 73, 74}
    bugs = vera.get(page, {"label": "bug"}).content.decode()
    assert numbers(bugs) == {71, 72}
    # One more narrows further, and each that is chosen can be taken away again.
    assert 'href="?label=bug&amp;label=ui+%26+ux" title="Only issues with this label">ui &amp; ux</a>' in bugs
    both = vera.get(page, {"label": ["bug", "ui & ux"]}).content.decode()
    assert numbers(both) == {72}
    assert 'class="tag tag-chosen" href="?label=ui+%26+ux"' in both
    assert 'class="tag tag-chosen" href="?label=bug"' in both


def test_a_label_that_no_issue_has_says_so_and_leads_back(page: str, vera: Client):
    html = vera.get(page, {"label": "nonsense"}).content.decode()
    assert numbers(html) == set()
    assert "No issue has this label" in html
    assert f'<a href="{page}">Show all issues</a>' in html


@pytest.mark.parametrize("name", ["", "a\0b", "x" * 101])
def test_what_no_label_can_be_is_no_filter(page: str, vera: Client, name: str):
    assert numbers(vera.get(page, {"label": name}).content.decode()) == {71, 72, 73, 74}


def test_the_labels_are_found_by_their_index(page: str, vera: Client):
    with CaptureQueriesContext(connection) as asked:
        vera.get(page, {"label": "bug"})
    (narrowed,) = [query["sql"] for query in asked if "issues_labelled" in query["sql"]]
    assert 'FROM "issues"' in narrowed
