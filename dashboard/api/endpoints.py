"""What every endpoint of the HTTP API does first: method, transport, bearer token, and a body of the right shape."""

import logging
from collections.abc import Callable
from functools import wraps
from http import HTTPStatus
from typing import Any, TypeVar

from django.conf import settings
from django.core.exceptions import RequestDataTooBig
from django.http import HttpRequest, HttpResponse
from django.http.request import UnreadablePostError
from django.views.decorators.csrf import csrf_exempt
from pydantic import BaseModel, ConfigDict, ValidationError

from accounts.api_tokens import TokenHolder, holder_of
from accounts.models import ApiScope
from dashboard.api.problems import HEADERS, Problem, problem_response

logger = logging.getLogger(__name__)

FAILED = Problem(
    HTTPStatus.INTERNAL_SERVER_ERROR, "failed", "Something is wrong on our side. Try again; nothing is half done."
)
CHALLENGE = {"WWW-Authenticate": 'Bearer realm="Paid"'}
View = Callable[..., HttpResponse]
Shape = TypeVar("Shape", bound="Body")


class Body(BaseModel):
    """The JSON object of a request. An unknown field is an error: a misspelt one must not pass for none."""

    model_config = ConfigDict(extra="forbid", strict=True, frozen=True)


def endpoint(*methods: str) -> Callable[[View], View]:
    """A view that answers these methods, and every `Problem` as problem details.

    No session and no cookie is looked at, so there is nothing for CSRF to protect.
    """

    def decorate(view: View) -> View:
        @csrf_exempt
        @wraps(view)
        def answer(request: HttpRequest, **arguments: Any) -> HttpResponse:
            try:
                _refuse_wrong_way(request, methods)
                return view(request, **arguments)
            except Problem as problem:
                return problem_response(problem)
            except Exception:
                # Programs get problem details here, too, not the page for people.
                logger.exception("The API failed at %s", request.path)
                return problem_response(FAILED)

        return answer

    return decorate


def _refuse_wrong_way(request: HttpRequest, methods: tuple[str, ...]) -> None:
    if request.method not in methods:
        allowed = ", ".join(methods)
        detail = f"This address answers {allowed}."
        raise Problem(HTTPStatus.METHOD_NOT_ALLOWED, "method_not_allowed", detail, {"Allow": allowed})
    if settings.SECURE_SSL_REDIRECT and not request.is_secure():
        # No redirect: the token has been sent in the open already, and its holder must learn of it.
        detail = "Use https://, and make another token: this one has crossed the network unencrypted."
        raise Problem(HTTPStatus.FORBIDDEN, "https_required", detail)


def bearer_token(request: HttpRequest) -> str:
    scheme, _, token = request.META.get("HTTP_AUTHORIZATION", "").partition(" ")
    if scheme.lower() != "bearer" or not token.strip():
        detail = "Send a token of the account: Authorization: Bearer paid_…"
        raise Problem(HTTPStatus.UNAUTHORIZED, "token_missing", detail, CHALLENGE)
    return str(token.strip())


def token_refused(detail: str) -> Problem:
    return Problem(
        HTTPStatus.UNAUTHORIZED, "token_refused", detail, {"WWW-Authenticate": 'Bearer error="invalid_token"'}
    )


def missing_scope(scope: ApiScope) -> Problem:
    challenge = {"WWW-Authenticate": f'Bearer error="insufficient_scope", scope="{scope.value}"'}
    return Problem(HTTPStatus.FORBIDDEN, "missing_scope", f"This token needs the scope {scope.value}.", challenge)


def holder(request: HttpRequest, scope: ApiScope) -> TokenHolder:
    """Who asks, by a token in force that has the scope."""
    found = holder_of(bearer_token(request))
    if found is None:
        raise token_refused("There is no such token, or it is revoked or expired.")
    if not found.may(scope):
        raise missing_scope(scope)
    return found


def body_of(request: HttpRequest, shape: type[Shape]) -> Shape:
    try:
        return shape.model_validate_json(request.body)
    except RequestDataTooBig:
        raise Problem(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "too_large", "The request is too large.") from None
    except UnreadablePostError:
        raise Problem(HTTPStatus.BAD_REQUEST, "incomplete", "The request broke off.") from None
    except ValidationError as error:
        errors = [
            {"field": ".".join(str(part) for part in entry["loc"]), "detail": entry["msg"]}
            for entry in error.errors(include_url=False, include_context=False, include_input=False)
        ]
        detail = "; ".join(f"{entry['field'] or 'body'}: {entry['detail']}" for entry in errors)
        raise Problem(HTTPStatus.UNPROCESSABLE_ENTITY, "invalid", detail, errors=errors) from None


def json_response(shown: BaseModel) -> HttpResponse:
    return HttpResponse(shown.model_dump_json(), content_type="application/json", headers=HEADERS)


@endpoint("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE")
def nowhere(request: HttpRequest) -> HttpResponse:
    raise Problem(HTTPStatus.NOT_FOUND, "no_such_address", f"The API has no address {request.path}.")
