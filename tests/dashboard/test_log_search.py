"""The search of logs: a page for the account, the same for one run, and what each says when there is nothing."""

from http import HTTPStatus

import pytest
from django.test import Client

from agent_runs.log_search import index_backlog
from tests.dashboard.conftest import signed_in_as
from tests.dashboard.world import World
from tests.factories.agent_runs import AgentRunLogFactory

URL = "/a/northwind/runs/logs/"


def page(client: Client, **question: str | int) -> str:
    answer = client.get(URL, question)
    assert answer.status_code == HTTPStatus.OK
    return str(answer.content.decode())


@pytest.mark.parametrize("is_indexed", [False, True])
def test_hits_are_marked_and_lead_to_their_line(world: World, alice: Client, is_indexed: bool):
    if is_indexed:
        assert sum(index_backlog()) > 0
    html = page(alice, text="slugify ascii")

    assert "<mark>slugify</mark>.py drops every letter that is not <mark>ASCII</mark>." in html
    assert f'href="/a/northwind/runs/{world.run.pk}/log?after=0#L5"' in html
    assert "Slugs lose their accents" in html


def test_what_an_agent_printed_is_text(world: World, alice: Client):
    html = page(alice, text="alert")

    assert "&lt;script&gt;<mark>alert</mark>(1)&lt;/script&gt;" in html
    assert "\x1b" not in html


def test_the_search_of_a_run_keeps_to_it(world: World, alice: Client):
    AgentRunLogFactory(run=world.failed_run, seq=1, content="slugify again")

    assert "again" in page(alice, text="slugify")
    html = page(alice, text="slugify", run=world.run.pk)
    assert "again" not in html
    assert f'<input type="hidden" name="run" value="{world.run.pk}">' in html
    assert f"Looked at the whole log of run {world.run.pk}." in page(alice, text="nowhere", run=world.run.pk)


def test_it_is_narrowed_by_project_and_kind(world: World, alice: Client):
    assert "CRLF" in page(alice, text="warning", project=world.project.pk, kind="stderr")
    assert "No line has these words" in page(alice, text="warning", kind="stdout")
    assert "This filter is not applied." in page(alice, text="warning", since="never")


def test_nothing_asked_nothing_found_and_a_bad_question_have_their_own_words(world: World, alice: Client):
    assert "What are you looking for?" in page(alice)
    assert "Set an earlier date to look further back." in page(alice, text="nowhere")
    assert "There is no word in this" in page(alice, text="***")
    assert "add a word that it must hold" in page(alice, text="-slugify")


def test_more_hits_than_a_page_holds_go_on(world: World, alice: Client):
    for number in range(1, 61):
        AgentRunLogFactory(run=world.failed_run, seq=number, content=f"needle {number}")

    first = page(alice, text="needle")
    assert (first.count('class="log-line'), "Older" in first) == (50, True)
    second = page(alice, text="needle", before=f"{world.failed_run.created_at.isoformat()}~{world.failed_run.pk}~11")
    assert (second.count('class="log-line'), "Older" in second, "Newest" in second) == (10, False, True)


def test_an_outsider_finds_nothing_of_others(world: World):
    charlie = signed_in_as(world.charlie)

    assert charlie.get(URL, {"text": "slugify"}).status_code == HTTPStatus.NOT_FOUND
    own = charlie.get("/a/elsewhere/runs/logs/", {"text": "slugify"}).content.decode()
    assert "No line has these words" in own
    assert charlie.get(f"/a/elsewhere/runs/logs/?text=slugify&run={world.run.pk}").status_code == HTTPStatus.NOT_FOUND


def test_htmx_gets_the_rows_alone(world: World, alice: Client):
    html = alice.get(URL, {"text": "slugify"}, headers={"HX-Request": "true"}).content.decode()

    assert "<mark>slugify</mark>" in html
    assert "<html" not in html
