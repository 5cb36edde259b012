"""Rows that are put together in Python: what stands in them is escaped, and their addresses are the URLs' own."""

from django.test import Client
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from dashboard.markup import filled, joined
from tests.dashboard.world import World
from tests.factories.projects import IssueFactory

HOSTILE = """<script>alert("x" + 'y')</script> & {number} %s"""


def test_filled_escapes_as_django_does_and_leaves_what_is_safe():
    safe = format_html("<b>{}</b>", HOSTILE)
    found = filled("<i title='{text}'>{safe}{number}{nothing}</i>", text=HOSTILE, safe=safe, number=7, nothing=None)

    assert found == format_html("<i title='{}'>{}{}{}</i>", HOSTILE, safe, 7, None)
    assert isinstance(found, SafeString)
    assert joined([found, safe]) == found + safe


def test_a_row_of_an_issue_is_escaped_and_leads_to_it(world: World, bob: Client, vera: Client):
    issue = IssueFactory(project=world.project, number=77, title=HOSTILE, labels=["<b>bug</b>"])
    where = ["northwind", world.project.pk, issue.number]

    page = bob.get(reverse("project", args=where[:2])).content.decode()

    assert f'href="{reverse("issue", args=where)}">{format_html("{}", HOSTILE)}</a>' in page
    assert '<a class="tag above" href="?label=%3Cb%3Ebug%3C%2Fb%3E"' in page
    assert ">&lt;b&gt;bug&lt;/b&gt;</a>" in page
    assert f'action="{reverse("issue_run", args=where)}"><input type="hidden" name="csrfmiddlewaretoken"' in page
    assert f'href="{reverse("run", args=["northwind", world.live_run.pk])}">Watch</a>' in page
    # Who only looks is offered no start.
    assert reverse("issue_run", args=where) not in vera.get(reverse("project", args=where[:2])).content.decode()


def test_a_row_of_a_project_leads_to_it(world: World, vera: Client):
    page = vera.get(reverse("projects", args=["northwind"])).content.decode()

    address = reverse("project", args=["northwind", world.project.pk])
    assert f'<a class="row-link" href="{address}">{world.project.name}</a>' in page
