"""Errors of the HTTP API as problem details (RFC 9457): what happened, and what to do."""

from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.http import HttpResponse, JsonResponse

# What every answer carries: nothing of it is kept on the way, or taken for a page.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


class Problem(Exception):
    """A request that is refused. `code` is for programs and stays the same; `detail` is for people."""

    def __init__(
        self, status: HTTPStatus, code: str, detail: str, headers: Mapping[str, str] | None = None, **more: Any
    ) -> None:
        super().__init__(detail)
        self.status, self.code, self.detail = status, code, detail
        self.headers = dict(headers or {})
        self.more = more


def problem_response(problem: Problem) -> HttpResponse:
    body = {
        "type": "about:blank",
        "title": problem.status.phrase,
        "status": problem.status.value,
        "code": problem.code,
        "detail": problem.detail,
        **problem.more,
    }
    return JsonResponse(
        body, status=problem.status, content_type="application/problem+json", headers=HEADERS | problem.headers
    )
