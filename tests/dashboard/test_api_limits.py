"""How often programs may ask: a token its quota, an address a few tokens that are refused."""

import json
from http import HTTPStatus
from typing import Any
from uuid import uuid4

import pytest
import time_machine
from django.test import Client

from accounts.models import ApiScope
from tests.dashboard.test_api import RESOLVE, SLUG, make_token, problem
from tests.dashboard.world import World


@pytest.fixture(autouse=True)
def still_clock() -> Any:
    with time_machine.travel("2026-11-28T12:00:20Z", tick=False):
        yield


@pytest.fixture
def address() -> str:
    """A client's own, in a network of its own."""
    return f"2001:db8:{uuid4().hex[:4]}:{uuid4().hex[:4]}::1"


@pytest.fixture
def reader(world: World) -> str:
    return make_token(world.account, world.alice, ApiScope.PROMPTS_READ)


def ask(client: Client, token: str, address: str = "127.0.0.1", slug: str = SLUG) -> Any:
    return client.post(
        RESOLVE,
        json.dumps({"slug": slug}),
        content_type="application/json",
        headers={"Authorization": f"Bearer {token}"},
        REMOTE_ADDR=address,
    )


def fields(answer: Any) -> tuple[str, str]:
    return answer["RateLimit-Policy"], answer["RateLimit"]


def test_every_answer_says_what_is_left(world: World, client: Client, reader: str, settings: Any):
    settings.API_REQUESTS_PER_MINUTE = 30

    assert fields(ask(client, reader)) == ('"token";q=30;w=60', '"token";r=29;t=40')
    assert fields(ask(client, reader, slug="not.there")) == ('"token";q=30;w=60', '"token";r=28;t=40')


def test_a_token_that_has_asked_too_often_waits_and_others_do_not(
    world: World, client: Client, reader: str, settings: Any
):
    settings.API_REQUESTS_PER_MINUTE = 2
    other = make_token(world.account, world.alice, ApiScope.PROMPTS_READ)
    assert [ask(client, reader).status_code for _ in range(2)] == [200, 200]

    answer = ask(client, reader)
    assert problem(answer) == (429, "too_many_requests")
    assert (answer["Retry-After"], fields(answer)) == ("40", ('"token";q=2;w=60', '"token";r=0;t=40'))
    assert answer.json()["type"] == "https://iana.org/assignments/http-problem-types#quota-exceeded"
    assert answer.json()["violated-policies"] == ["token"]
    assert ask(client, other).status_code == HTTPStatus.OK


def test_an_address_cannot_try_tokens_fast_and_known_ones_behind_it_still_work(
    world: World, client: Client, reader: str, settings: Any, address: str, django_assert_num_queries: Any
):
    settings.API_REFUSALS_PER_MINUTE = 3
    late = make_token(world.account, world.alice, ApiScope.PROMPTS_READ)
    assert ask(client, reader, address).status_code == HTTPStatus.OK
    assert [ask(client, f"paid_{n}", address).status_code for n in range(3)] == [401] * 3

    # Another address of the same network; the right token is not looked up either, or it could be guessed.
    with django_assert_num_queries(0):
        answer = ask(client, late, address.replace("::1", "::2"))
    assert problem(answer) == (429, "too_many_refused_tokens")
    assert (answer["Retry-After"], answer["RateLimit"]) == ("40", '"refused-tokens";r=0;t=40')
    assert ask(client, reader, address).status_code == HTTPStatus.OK
    assert ask(client, late, "198.51.100.7").status_code == HTTPStatus.OK


def test_without_limits_nothing_is_counted(world: World, client: Client, reader: str, settings: Any):
    settings.API_REQUESTS_PER_MINUTE = settings.API_REFUSALS_PER_MINUTE = 0

    answer = ask(client, reader)
    assert answer.status_code == HTTPStatus.OK
    assert "RateLimit" not in answer
