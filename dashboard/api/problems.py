"""Errors of the HTTP API as problem details (RFC 9457): what happened, and what to do."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from http import HTTPStatus

from django.http import HttpResponse
from pydantic import BaseModel, Field

# What every answer carries: nothing of it is kept on the way, or taken for a page.
HEADERS = {"Cache-Control": "no-store", "X-Content-Type-Options": "nosniff"}


@dataclass(frozen=True)
class Kind:
    """What can be wrong. `code` is for programs and stays the same."""

    status: HTTPStatus
    code: str


class FieldProblem(BaseModel):
    field: str
    detail: str


class ProblemDetails(BaseModel):
    """`code` is for programs and stays the same; `detail` says to people what happened and what to do."""

    type: str = "about:blank"
    title: str
    status: int
    code: str
    detail: str
    errors: list[FieldProblem] | None = Field(None, description="What is wrong with which field, with code `invalid`.")
    violated_policies: list[str] | None = Field(
        None,
        serialization_alias="violated-policies",
        description="The names of the limits that are used up, with status 429.",
    )


class Problem(Exception):
    """A request that is refused. `detail` is for people."""

    def __init__(
        self,
        kind: Kind,
        detail: str,
        headers: Mapping[str, str] | None = None,
        *,
        type_uri: str = "about:blank",
        errors: Sequence[FieldProblem] = (),
        violated_policies: Sequence[str] = (),
    ) -> None:
        super().__init__(detail)
        self.kind = kind
        self.headers = dict(headers or {})
        self.details = ProblemDetails(
            type=type_uri,
            title=kind.status.phrase,
            status=kind.status.value,
            code=kind.code,
            detail=detail,
            errors=list(errors) or None,
            violated_policies=list(violated_policies) or None,
        )


def problem_response(problem: Problem) -> HttpResponse:
    return HttpResponse(
        problem.details.model_dump_json(by_alias=True, exclude_none=True),
        status=problem.kind.status,
        content_type="application/problem+json",
        headers=HEADERS | problem.headers,
    )
