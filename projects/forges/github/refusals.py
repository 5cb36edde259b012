"""Which error a refusal of GitHub is: by status, headers and the few messages that tell two cases apart."""

import time
from collections.abc import Callable
from email.utils import parsedate_to_datetime
from http import HTTPStatus
from typing import Any

import httpx
from pydantic import ValidationError

from projects.forges.base import ForgeUnavailable, NotFoundOnForge, RateLimited
from projects.forges.github.answers import Problem
from projects.forges.github.errors import BadToken, MissingPermission, Refused, RepositoryEmpty, RepositoryMoved

# https://docs.github.com/rest/using-the-rest-api/rate-limits-for-the-rest-api: without a header, wait a minute.
SECONDARY_WAIT_SECONDS = 60.0
MAX_WAIT_SECONDS = 3700.0
LIMITED = (HTTPStatus.FORBIDDEN, HTTPStatus.TOO_MANY_REQUESTS)
GONE = (HTTPStatus.NOT_FOUND, HTTPStatus.GONE, HTTPStatus.UNAVAILABLE_FOR_LEGAL_REASONS)


def raise_for_refusal(status: int, headers: httpx.Headers, data: Any) -> None:
    """Nothing for an answer of 2xx or 304; else the error that says what to do."""
    if status < HTTPStatus.MULTIPLE_CHOICES or status == HTTPStatus.NOT_MODIFIED:
        return
    problem = _problem(data)
    wait = _wait_seconds(status, headers, problem)
    if wait is not None:
        raise RateLimited(wait)
    if status == HTTPStatus.UNAUTHORIZED:
        raise BadToken
    if status == HTTPStatus.FORBIDDEN:
        raise MissingPermission(*accepted_permissions(headers))
    if status in GONE:
        raise NotFoundOnForge("GitHub has no such thing, or the token may not see it.")
    if status < HTTPStatus.BAD_REQUEST:
        raise RepositoryMoved
    if status == HTTPStatus.CONFLICT and "is empty" in problem.message:
        raise RepositoryEmpty
    if status >= HTTPStatus.INTERNAL_SERVER_ERROR or status == HTTPStatus.REQUEST_TIMEOUT:
        raise ForgeUnavailable(f"GitHub answered {status}: it is overloaded or down.")
    raise Refused(f"GitHub answered {status}: {problem.text}" if problem.text else f"GitHub answered {status}.")


def accepted_permissions(headers: httpx.Headers) -> tuple[str, ...]:
    """Which permissions would have been enough, as GitHub names them: `issues=write` becomes `Issues: write`."""
    # Alternatives are separated by ";", what is needed together by ",": the first alternative is the narrowest.
    first = headers.get("x-accepted-github-permissions", "").split(";")[0]
    named = [part.strip().partition("=") for part in first.split(",") if part.strip()]
    return tuple(f"{name.replace('_', ' ').capitalize()}: {level}" for name, _, level in named)


def _problem(data: Any) -> Problem:
    try:
        return Problem.model_validate(data)
    except ValidationError:
        return Problem()


def _wait_seconds(status: int, headers: httpx.Headers, problem: Problem) -> float | None:
    """How long GitHub wants us to wait, or None when the refusal is no rate limit."""
    if status not in LIMITED:
        return None
    after = _number(headers, "retry-after")
    if after is not None:
        return _bounded(after)
    if headers.get("x-ratelimit-remaining") == "0":
        reset = _number(headers, "x-ratelimit-reset")
        return _bounded(SECONDARY_WAIT_SECONDS if reset is None else reset - _server_time(headers) + 1)
    if status == HTTPStatus.TOO_MANY_REQUESTS or "secondary rate limit" in problem.message.lower():
        return SECONDARY_WAIT_SECONDS
    return None


def _bounded(seconds: float) -> float:
    return min(max(seconds, 1.0), MAX_WAIT_SECONDS)


def _number(headers: httpx.Headers, name: str) -> float | None:
    text: str = headers.get(name, "")
    return float(text) if text.isascii() and text.isdigit() else None


def _server_time(headers: httpx.Headers, now: Callable[[], float] = time.time) -> float:
    """GitHub's own clock where it tells it: ours may be wrong by an hour."""
    try:
        return parsedate_to_datetime(headers.get("date", "")).timestamp()
    except (ValueError, TypeError):
        return now()
