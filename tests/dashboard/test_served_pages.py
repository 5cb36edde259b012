"""Pages as the web process serves them: through its own handler, over a socket."""

import gc
from http import HTTPStatus

import httpx
import pytest
from django.conf import settings
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from accounts.models import User
from agent_runs.models import RunStatus
from paid.asgi import application, load_and_keep
from tests.dashboard.conftest import signed_in_as
from tests.dashboard.world import World, make_world
from tests.factories.agent_runs import finished_run
from tests.factories.projects import IssueFactory, ProjectFactory
from tests.factories.prompts import prompt_with_version
from tests.metrics.serving import serving, tcp_socket


def visitor(user: User, address: str) -> httpx.Client:
    kept = signed_in_as(user).cookies[settings.SESSION_COOKIE_NAME].value
    return httpx.Client(base_url=address, cookies={settings.SESSION_COOKIE_NAME: kept}, timeout=60)


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


@pytest.mark.parametrize("path", ["", "runs/", "projects/", "prompts/"])
def test_a_list_asks_as_many_queries_for_many_rows_as_for_few(world: World, bob: Client, path: str):
    counts = []
    for _ in range(2):
        with CaptureQueriesContext(connection) as asked:
            assert bob.get(f"/a/northwind/{path}").status_code == HTTPStatus.OK
        counts.append(len(asked))
        for status in (RunStatus.FAILED, RunStatus.COMPLETED):
            project = ProjectFactory(account=world.account)
            finished_run(project=project, issue=IssueFactory(project=project), status=status, error="It failed.")
            prompt_with_version(account=world.account)
    assert counts[1] == counts[0]


def test_what_is_loaded_at_the_start_stays_out_of_the_collectors_rounds():
    try:
        load_and_keep()
        assert gc.get_freeze_count() > 50_000
    finally:
        gc.unfreeze()
