"""What every endpoint of the HTTP API does: method, transport, limits, bearer token, and what it takes and gives.

An operation says what it takes, gives and refuses once. The request is held to that, and the OpenAPI document and the
page about the API are made of it (dashboard.api.document).
"""

import logging
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse, HttpResponseBase
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from pydantic import BaseModel, ConfigDict, ValidationError

from accounts.api_tokens import TokenHolder, digest_of, holder_of
from accounts.models import ApiScope
from dashboard.api.limits import gate
from dashboard.api.problems import HEADERS, FieldProblem, Kind, Problem, problem_response
from paid.lib.tenancy import give_back_connections, tenant

logger = logging.getLogger(__name__)

FAILED = Kind(HTTPStatus.INTERNAL_SERVER_ERROR, "failed")
METHOD_NOT_ALLOWED = Kind(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed")
HTTPS_REQUIRED = Kind(HTTPStatus.FORBIDDEN, "https_required")
TOKEN_MISSING = Kind(HTTPStatus.UNAUTHORIZED, "token_missing")
TOKEN_REFUSED = Kind(HTTPStatus.UNAUTHORIZED, "token_refused")
MISSING_SCOPE = Kind(HTTPStatus.FORBIDDEN, "missing_scope")
NO_SUCH_ADDRESS = Kind(HTTPStatus.NOT_FOUND, "no_such_address")
TOO_LARGE = Kind(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large")
INCOMPLETE = Kind(HTTPStatus.BAD_REQUEST, "incomplete")
INVALID = Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid")

KEY_PATTERN = "[!-~]{1,255}"
View = Callable[..., HttpResponseBase]
Shape = TypeVar("Shape", bound=BaseModel)


class Body(BaseModel):
    """The JSON object of a request. An unknown field is an error: a misspelt one must not pass for none."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


class Query(BaseModel):
    """What stands behind the `?`. Unknown names are errors, too; an empty value is as none."""

    model_config = ConfigDict(extra="forbid", frozen=True)


@dataclass(frozen=True)
class Operation:
    """One method of an address. `run` gets the token's holder, what was `takes`, and what the address holds.

    It runs in the transaction of the holder's account. One that `looks_up_token` itself gets the token's digest, and
    no transaction; one without a `scope` is for everybody and gets neither. `media_type` is of an answer that is not
    one JSON object: then `gives` is what its lines are. One that `takes_key` gets the request's idempotency key.
    """

    run: Callable[..., BaseModel | HttpResponseBase]
    method: str
    scope: ApiScope | None
    gives: type[BaseModel] | None
    takes: type[Body] | type[Query] | None = None
    status: HTTPStatus = HTTPStatus.OK
    problems: tuple[Kind, ...] = ()
    looks_up_token: bool = False
    takes_key: bool = False
    media_type: str = "application/json"

    @property
    def name(self) -> str:
        return self.run.__name__

    @property
    def words(self) -> str:
        return (self.run.__doc__ or "").strip()


def operation(method: str, **said: Any) -> Callable[[Callable[..., BaseModel | HttpResponseBase]], Operation]:
    """Makes an operation of a function; its docstring is what people read about it."""
    return lambda run: Operation(run=run, method=method, **said)


def endpoint(*operations: Operation) -> View:
    """A view that answers these operations, and every `Problem` as problem details.

    No session and no cookie is looked at, so there is nothing for CSRF to protect.
    """
    by_method = {one.method: one for one in operations}
    if "GET" in by_method:
        by_method["HEAD"] = by_method["GET"]

    @csrf_exempt
    @wraps(operations[0].run)
    def answer(request: HttpRequest, **arguments: Any) -> HttpResponseBase:
        limits: dict[str, str] = {}
        try:
            _refuse_wrong_way(request, by_method)
            response = _answer(by_method[str(request.method)], request, arguments, limits)
        except Problem as problem:
            response = problem_response(problem)
        except Exception:
            # Programs get problem details here, too, not the page for people.
            logger.exception("The API failed at %s", request.path)
            detail = "Something is wrong on our side. Try again; nothing is half done."
            response = problem_response(Problem(FAILED, detail))
        for name, value in limits.items():
            response.setdefault(name, value)
        return response

    answer.operations = operations  # type: ignore[attr-defined]  # dashboard.api.document asks for them
    return answer


def _refuse_wrong_way(request: HttpRequest, methods: Mapping[str, Operation]) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        raise Problem(METHOD_NOT_ALLOWED, f"This address answers {allowed}.", {"Allow": allowed})
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        # No redirect: the token has been sent in the open already, and its holder must learn of it.
        detail = "Use https://, and make another token: this one has crossed the network unencrypted."
        raise Problem(HTTPS_REQUIRED, detail)


def _answer(
    wanted: Operation, request: HttpRequest, arguments: dict[str, Any], limits: dict[str, str]
) -> HttpResponseBase:
    """`limits` gets the fields that tell how the token stands, whatever comes of the request."""
    if wanted.scope is None:
        return _response(wanted, wanted.run(**arguments))
    digest = digest_of(_bearer_token(request))
    limits.update(gate().enter(request, digest))
    try:
        shown = _run(wanted, request, digest, arguments)
    except Problem as problem:
        if problem.kind is TOKEN_REFUSED:
            gate().was_refused(request, digest)
        raise
    gate().was_accepted(digest)
    return _response(wanted, shown)


def _run(
    wanted: Operation, request: HttpRequest, digest: bytes, arguments: dict[str, Any]
) -> BaseModel | HttpResponseBase:
    if wanted.looks_up_token:
        return wanted.run(digest, *_asked(wanted, request), **arguments)
    assert wanted.scope is not None  # for mypy: _answer has seen to it  # noqa: S101
    who = _holder(digest, wanted.scope)
    asked = _asked(wanted, request)
    if wanted.takes_key:
        arguments = arguments | {"key": _idempotency_key(request)}
    with tenant(who.account_id):
        shown = wanted.run(who, *asked, **arguments)
    if isinstance(shown, HttpResponseBase):
        give_back_connections(shown)
    return shown


def _bearer_token(request: HttpRequest) -> str:
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        detail = "Send a token of the account: Authorization: Bearer paid_…"
        raise Problem(TOKEN_MISSING, detail, {"WWW-Authenticate": 'Bearer realm="Paid"'})
    return str(token.strip())


def token_refused(detail: str) -> Problem:
    return Problem(TOKEN_REFUSED, detail, {"WWW-Authenticate": 'Bearer error="invalid_token"'})


def missing_scope(scope: ApiScope) -> Problem:
    challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope.value}"'}
    return Problem(MISSING_SCOPE, f"This token needs the scope {scope.value}.", challenge)


def _holder(digest: bytes, scope: ApiScope) -> TokenHolder:
    """Who asks, by a token in force that has the scope."""
    found = holder_of(digest)
    if found is None:
        raise token_refused("There is no such token, or it is revoked or expired.")
    if not found.may(scope):
        raise missing_scope(scope)
    return found


def _asked(wanted: Operation, request: HttpRequest) -> list[BaseModel]:
    if wanted.takes is None:
        return []
    if issubclass(wanted.takes, Query):
        given = {name: value for name, value in request.GET.items() if value}
        return [_held(lambda: wanted.takes.model_validate(given))]  # type: ignore[union-attr]
    return [body_of(request, wanted.takes)]


def _idempotency_key(request: HttpRequest) -> str | None:
    """With or without the quotes that draft-ietf-httpapi-idempotency-key-header has around it."""
    given = request.META.get("HTTP_IDEMPOTENCY_KEY")
    if given is None:
        return None
    key = str(given).strip()
    if len(key) > 1 and key[0] == key[-1] == '"':
        key = key[1:-1]
    # An empty key is none that was forgotten to be set: without one a repetition would start another run.
    if not re.fullmatch(KEY_PATTERN, key):
        detail = "1 to 255 visible characters of ASCII"
        errors = [FieldProblem(field="Idempotency-Key", detail=detail)]
        raise Problem(INVALID, f"Idempotency-Key: {detail}", errors=errors)
    return key


def body_of(request: HttpRequest, shape: type[Shape]) -> Shape:
    try:
        text = request.body
    except RequestDataTooBig:
        raise Problem(TOO_LARGE, "The request is too large.") from None
    except UnreadablePostError:
        raise Problem(INCOMPLETE, "The request broke off.") from None
    return _held(lambda: shape.model_validate_json(text))


def _held(validate: Callable[[], Shape]) -> Shape:
    try:
        return validate()
    except ValidationError as error:
        errors = [
            FieldProblem(field=".".join(str(part) for part in entry["loc"]), detail=entry["msg"])
            for entry in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        detail = "; ".join(f"{entry.field or 'body'}: {entry.detail}" for entry in errors)
        raise Problem(INVALID, detail, errors=errors) from None


def _response(wanted: Operation, shown: BaseModel | HttpResponseBase) -> HttpResponseBase:
    if isinstance(shown, HttpResponseBase):
        return shown
    return HttpResponse(shown.model_dump_json(), status=wanted.status, content_type="application/json", headers=HEADERS)


@csrf_exempt
def nowhere(request: HttpRequest) -> HttpResponse:
    return problem_response(Problem(NO_SUCH_ADDRESS, f"The API has no address {request.path}."))
