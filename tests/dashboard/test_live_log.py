"""The event stream: rows by number, resumed where it stopped, ended with the run."""

import asyncio
import re
import time
from collections.abc import MutableMapping
from http import HTTPStatus
from typing import Any

import pytest
from django.conf import settings as django_settings
from django.db import connection
from django.test import Client

from accounts.models import ApiScope
from dashboard import live
from paid.asgi import application
from paid.lib.tenancy import platform
from tests.dashboard.test_api import make_token
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


def taken_connections() -> int:
    pool: Any = connection.pool  # type: ignore[attr-defined]
    counts = pool.get_stats()
    return int(counts["pool_size"] - counts["pool_available"])


def kept_connections() -> int:
    """By threads that a test before left behind: the fewest of a while, since a pool that grows counts one more."""
    found = []
    for _ in range(20):
        found.append(taken_connections())
        time.sleep(0.01)
    return min(found)


def connections_in_use(path: str, header: tuple[str, str]) -> list[int]:
    """How many connections more than before stayed taken of the pool whenever a piece of the answer was sent."""
    in_use = []
    before = kept_connections()
    scope = {
        "type": "http", "method": "GET", "path": path, "raw_path": path.encode(), "query_string": b"", "scheme": "http",
        "http_version": "1.1", "client": ("127.0.0.1", 1), "server": ("127.0.0.1", 80),
        "headers": [(b"host", b"127.0.0.1"), (header[0].encode(), header[1].encode())],
    }  # fmt: skip
    asked: list[MutableMapping[str, Any]] = [{"type": "http.request", "body": b"", "more_body": False}]

    async def receive() -> MutableMapping[str, Any]:
        if not asked:
            await asyncio.Event().wait()
        return asked.pop()

    async def send(message: MutableMapping[str, Any]) -> None:
        if not message.get("body"):
            return
        # A pool that grows counts the connection that it is still making. One that the answer holds stays taken until
        # this piece is sent.
        for _ in range(500):
            more = taken_connections() - before
            if more <= 0:
                break
            await asyncio.sleep(0.01)
        in_use.append(max(more, 0))

    asyncio.run(application(scope, receive, send))
    return in_use


def test_a_log_that_is_sent_for_long_keeps_no_connection(ended: tuple[World, Client]):
    world, client = ended
    token = make_token(world.account, world.alice, ApiScope.RUNS_READ)
    session = client.cookies[django_settings.SESSION_COOKIE_NAME].value
    connection.close()

    page = f"/a/northwind/runs/{world.run.pk}/log"
    cookie = ("cookie", f"{django_settings.SESSION_COOKIE_NAME}={session}")
    assert set(connections_in_use(f"{page}.txt", cookie)) == {0}
    assert set(connections_in_use(f"{page}/stream", cookie)) == {0}
    bearer = ("authorization", f"Bearer {token}")
    assert set(connections_in_use(f"/api/v1/runs/{world.run.pk}/log", bearer)) == {0}
