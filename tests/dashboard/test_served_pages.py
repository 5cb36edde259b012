"""Pages as the web process serves them: through its own handler, over a socket."""

from http import HTTPStatus

import httpx
import pytest
from django.conf import settings

from accounts.models import User
from paid.asgi import application
from tests.dashboard.conftest import signed_in_as
from tests.dashboard.world import make_world
from tests.metrics.serving import serving, tcp_socket


def visitor(user: User, address: str) -> httpx.Client:
    kept = signed_in_as(user).cookies[settings.SESSION_COOKIE_NAME].value
    return httpx.Client(base_url=address, cookies={settings.SESSION_COOKIE_NAME: kept}, timeout=20)


@pytest.mark.django_db(transaction=True)
def test_views_streams_and_refusals_come_through_with_every_header():
    world = make_world()
    run = f"/a/northwind/runs/{world.run.pk}/"
    with tcp_socket() as listener, serving(application, listener):
        address = f"http://127.0.0.1:{listener.getsockname()[1]}"
        with visitor(world.bob, address) as bob, visitor(world.charlie, address) as charlie:
            page, file, refused = bob.get(run), bob.get(f"{run}log.txt"), bob.post(f"{run}stop")
            health, missing, hidden = bob.get("/healthz"), bob.get("/a/northwind/nowhere/"), charlie.get(run)

    assert [answer.status_code for answer in (page, file, refused, missing, hidden)] == [
        HTTPStatus.OK,
        HTTPStatus.OK,
        HTTPStatus.FORBIDDEN,
        HTTPStatus.NOT_FOUND,
        HTTPStatus.NOT_FOUND,
    ]
    assert f"run {world.run.pk}" in page.text
    assert file.headers["content-type"] == "text/plain; charset=utf-8"
    assert set(health.json()["checks"]) == {"database", "redis", "temporal", "gateway"}
    answers = (page, file, refused, missing, hidden, health)
    assert {answer.headers["x-content-type-options"] for answer in answers} == {"nosniff"}
    assert "default-src 'none'" in page.headers["content-security-policy"]
    assert page.headers["x-frame-options"] == "DENY"
