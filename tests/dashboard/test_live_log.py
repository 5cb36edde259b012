"""The event stream: rows by number, resumed where it stopped, ended with the run."""

import re
from http import HTTPStatus

import pytest
from django.test import Client

from dashboard import live
from paid.lib.tenancy import platform
from tests.dashboard.world import LOG, World, make_world


def events(text: str) -> list[tuple[str, str]]:
    """Name and data of each event."""
    found = []
    for block in text.split("\n\n"):
        name = re.search(r"^event: (.*)$", block, re.MULTILINE)
        if name:
            found.append((name[1], "\n".join(re.findall(r"^data: (.*)$", block, re.MULTILINE))))
    return found


@pytest.fixture
def ended(transactional_db: None) -> tuple[World, Client]:
    world = make_world()
    client = Client()
    with platform():
        client.force_login(world.bob)
    return world, client


def stream(world: World, client: Client, last_event_id: str = "") -> str:
    # An ended run's stream ends by itself, so that its whole text can be read.
    answer = client.get(
        f"/a/northwind/runs/{world.run.pk}/log/stream",
        headers={"Last-Event-ID": last_event_id} if last_event_id else None,
    )
    assert answer.status_code == HTTPStatus.OK
    assert answer["Content-Type"] == "text/event-stream"
    return b"".join(answer).decode()


def test_it_sends_all_rows_then_the_state_and_ends_with_the_run(ended: tuple[World, Client]):
    found = events(stream(*ended))

    assert [name for name, _ in found] == ["log", "head", "meter", "timeline", "end"]
    assert found[0][1].count('class="log-line') == len(LOG)
    assert "&lt;script&gt;alert(1)&lt;/script&gt;" in found[0][1]
    assert found[-1][1] == "completed"


def test_it_resumes_behind_the_last_event(ended: tuple[World, Client]):
    text = stream(*ended, last_event_id="7")

    assert re.findall(r'id="L(\d+)"', text) == ["8", "9"]
    assert "id: 9\n" in text


def test_nonsense_in_the_last_event_starts_at_the_beginning(ended: tuple[World, Client]):
    text = stream(*ended, last_event_id="'; drop")

    assert len(re.findall(r'id="L(\d+)"', text)) == len(LOG)


def test_a_user_has_only_so_many_streams(ended: tuple[World, Client]):
    world, client = ended
    live._open.by_user[world.bob.pk] = live.MAX_STREAMS_PER_USER

    answer = client.get(f"/a/northwind/runs/{world.run.pk}/log/stream")
    del live._open.by_user[world.bob.pk]

    assert answer.status_code == HTTPStatus.TOO_MANY_REQUESTS
    assert answer["Retry-After"] == "10"
    assert "Too many live pages are open." in answer.content.decode()


def test_without_redis_it_polls(ended: tuple[World, Client], settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"

    assert events(stream(*ended))[-1] == ("end", "completed")


def test_the_file_has_every_row_as_it_was(ended: tuple[World, Client]):
    world, client = ended
    answer = client.get(f"/a/northwind/runs/{world.run.pk}/log.txt")
    lines = b"".join(answer).decode().splitlines()

    assert answer["Content-Disposition"] == f'attachment; filename="run-{world.run.pk}.log"'
    assert len(lines) == len(LOG)
    assert lines[7].endswith("in 0.04s <script>alert(1)</script>")


def test_without_javascript_the_log_is_pages(ended: tuple[World, Client]):
    world, client = ended
    page = client.get(f"/a/northwind/runs/{world.run.pk}/log", {"after": "7"}).content.decode()

    assert re.findall(r'id="L(\d+)"', page) == ["8", "9"]
