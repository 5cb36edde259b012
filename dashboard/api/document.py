"""The API's OpenAPI 3.1 document, made of what its addresses and operations say of themselves."""

import inspect
import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cache
from itertools import groupby
from typing import Any, Literal

from django.http import HttpResponse
from django.urls import URLPattern, get_resolver
from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, models_json_schema

from dashboard.api.endpoints import (
    FAILED,
    HTTPS_REQUIRED,
    INCOMPLETE,
    INVALID,
    KEY_PATTERN,
    MISSING_SCOPE,
    TOKEN_MISSING,
    TOKEN_REFUSED,
    TOO_LARGE,
    Operation,
    Query,
    operation,
)
from dashboard.api.limits import TOO_MANY_REFUSED, TOO_MANY_REQUESTS
from dashboard.api.problems import Kind, ProblemDetails

Json = dict[str, Any]
Mode = Literal["validation", "serialization"]
ADDRESSES = "dashboard.api.urls"
ROOT = "/api/v1"
TEMPLATE = "#/components/schemas/{model}"
DESCRIPTION = """\
Programs come with a token of the account, which an admin makes under Settings, API tokens, and send it as
`Authorization: Bearer paid_…`. A token may do what its scopes say. Errors are problem details (RFC 9457) with a `code`
that stays the same. Every answer to a token says in `RateLimit` how many requests it has left in this window; a 429
says in `Retry-After` how many seconds to wait. Amounts of money are strings of decimal digits, exact to the last one.
Times are UTC.\
"""
LIMIT_HEADERS = {
    "RateLimit": "How many requests the token has left (`r`), and the seconds until it has all of them again (`t`).",
    "RateLimit-Policy": "The limit: so many requests (`q`) in so many seconds (`w`).",
}
KEY: Json = {
    "name": "Idempotency-Key",
    "in": "header",
    "required": False,
    "description": "Yours for this request, the same when you send it again. Another request under it is refused.",
    "schema": {"type": "string", "pattern": f"^{KEY_PATTERN}$"},
}


class _Schemas(GenerateJsonSchema):
    """Without titles, which would only say each name once more."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False


@dataclass(frozen=True)
class Endpoint:
    """An operation and where it is; `path` is as OpenAPI writes it, below ROOT."""

    path: str
    operation: Operation
    parameters: tuple[tuple[str, Json], ...]


@operation("GET", scope=None, gives=None)
def read_openapi() -> HttpResponse:
    """The OpenAPI document of this API.

    It holds nothing of any account.
    """
    # It changes with a release only.
    headers = {"Cache-Control": "public, max-age=300", "X-Content-Type-Options": "nosniff"}
    return HttpResponse(_openapi_text(), content_type="application/json", headers=headers)


def endpoints() -> list[Endpoint]:
    """Every operation of every address, in the order of the addresses."""
    return list(_endpoints())


def _endpoints() -> Iterator[Endpoint]:
    for entry in get_resolver(ADDRESSES).url_patterns:
        if not isinstance(entry, URLPattern):
            continue
        route = str(entry.pattern)
        converters = entry.pattern.converters
        parameters = tuple((name, converter.schema) for name, converter in converters.items())
        for one in getattr(entry.callback, "operations", ()):
            yield Endpoint("/" + re.sub(r"<\w+:(\w+)>", r"{\1}", route), one, parameters)


@cache
def openapi() -> Json:
    found = endpoints()
    refs, schemas = _schemas(one.operation for one in found)
    paths: Json = {}
    for path, group in groupby(found, key=lambda one: one.path):
        paths[path] = {one.operation.method.lower(): _operation(one, refs, schemas) for one in group}
    queries = {one.operation.takes.__name__ for one in found if _is_query(one.operation)}  # type: ignore[union-attr]
    return {
        "openapi": "3.1.0",
        "info": {"title": "Paid", "version": "1", "description": DESCRIPTION},
        "servers": [{"url": ROOT}],
        "paths": paths,
        "components": {
            "securitySchemes": {"token": {"type": "http", "scheme": "bearer", "description": "A token of an account."}},
            "headers": {
                name: {"description": words, "schema": {"type": "string"}} for name, words in LIMIT_HEADERS.items()
            },
            "schemas": {name: schema for name, schema in sorted(schemas.items()) if name not in queries},
        },
    }


@cache
def _openapi_text() -> str:
    return json.dumps(openapi())


def problems_of(one: Operation) -> list[Kind]:
    """Everything that it may answer in place of what it gives."""
    kinds = [*one.problems, HTTPS_REQUIRED, FAILED]
    if one.scope is not None:
        kinds += [TOKEN_MISSING, TOKEN_REFUSED, MISSING_SCOPE, TOO_MANY_REQUESTS, TOO_MANY_REFUSED]
    if one.takes is not None:
        kinds += [INVALID] if _is_query(one) else [INVALID, INCOMPLETE, TOO_LARGE]
    return sorted(dict.fromkeys(kinds), key=lambda kind: kind.status)


def _is_query(one: Operation) -> bool:
    return one.takes is not None and issubclass(one.takes, Query)


def _schemas(operations: Iterable[Operation]) -> tuple[Json, Json]:
    """References by model and way, and the schemas that they lead to."""
    models: dict[tuple[type[BaseModel], Mode], None] = {(ProblemDetails, "serialization"): None}
    for one in operations:
        if one.takes is not None:
            models[one.takes, "validation"] = None
        if one.gives is not None:
            models[one.gives, "serialization"] = None
    refs, described = models_json_schema(list(models), ref_template=TEMPLATE, schema_generator=_Schemas)
    for schema in described["$defs"].values():
        if "enum" in schema:
            # These are the columns' own: what is said of them is for who reads the code.
            schema.pop("description", None)
    return {model.__name__: ref for (model, _), ref in refs.items()}, described["$defs"]


def _operation(one: Endpoint, refs: Json, schemas: Json) -> Json:
    wanted = one.operation
    summary, _, rest = wanted.words.partition("\n\n")
    described: Json = {
        "operationId": wanted.name,
        "tags": [one.path.split("/")[1].partition(".")[0]],
        "summary": " ".join(summary.split()),
        "parameters": [*_in_path(one), *_in_query(wanted, schemas), *([KEY] if wanted.takes_key else [])],
        "responses": {str(wanted.status.value): _success(wanted, refs)} | _refusals(wanted, refs),
    }
    if rest:
        described["description"] = inspect.cleandoc(rest)
    if wanted.takes is not None and not _is_query(wanted):
        content = {"application/json": {"schema": refs[wanted.takes.__name__]}}
        described["requestBody"] = {"required": True, "content": content}
    described["security"] = [] if wanted.scope is None else [{"token": [wanted.scope.value]}]
    return described


def _in_path(one: Endpoint) -> list[Json]:
    return [{"name": name, "in": "path", "required": True, "schema": schema} for name, schema in one.parameters]


def _in_query(wanted: Operation, schemas: Json) -> list[Json]:
    if wanted.takes is None or not _is_query(wanted):
        return []
    shape = schemas[wanted.takes.__name__]
    required = shape.get("required", [])
    return [
        {"name": name, "in": "query", "required": name in required} | _parameter(schema)
        for name, schema in shape["properties"].items()
    ]


def _parameter(schema: Json) -> Json:
    """A parameter is there or not: null, and a default that means none, are the code's own."""
    kinds = [kind for kind in schema.get("anyOf", [schema]) if kind != {"type": "null"}]
    kind = kinds[0] if len(kinds) == 1 else {"anyOf": kinds}
    default = {"default": schema["default"]} if schema.get("default") else {}
    said = {"description": schema["description"]} if "description" in schema else {}
    return said | {
        "schema": {name: value for name, value in kind.items() if name not in ("default", "description")} | default
    }


def _success(wanted: Operation, refs: Json) -> Json:
    schema = {"type": "object"} if wanted.gives is None else refs[wanted.gives.__name__]
    answer: Json = {"description": wanted.status.phrase, "content": {wanted.media_type: {"schema": schema}}}
    return answer if wanted.scope is None else answer | {"headers": _limit_headers()}


def _refusals(wanted: Operation, refs: Json) -> Json:
    """By status; the description names the codes."""
    answers: Json = {}
    content = {"application/problem+json": {"schema": refs[ProblemDetails.__name__]}}
    for status, kinds in groupby(problems_of(wanted), key=lambda kind: kind.status):
        codes = ", ".join(f"`{kind.code}`" for kind in kinds)
        answers[str(status.value)] = {"description": codes, "content": content}
        if status == TOO_MANY_REQUESTS.status:
            wait = {"description": "Seconds to wait.", "schema": {"type": "integer"}}
            answers[str(status.value)]["headers"] = {"Retry-After": wait} | _limit_headers()
    return answers


def _limit_headers() -> Json:
    return {name: {"$ref": f"#/components/headers/{name}"} for name in LIMIT_HEADERS}
