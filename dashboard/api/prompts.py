"""Prompts over HTTP: the version that a subject gets, and labels moved by a program such as a deployment."""

from http import HTTPStatus
from typing import Annotated

from django.http import HttpRequest, HttpResponse
from pydantic import BaseModel, Field, StringConstraints

from accounts.api_tokens import digest_of
from accounts.models import ApiScope
from dashboard.api.endpoints import (
    Body,
    bearer_token,
    body_of,
    endpoint,
    holder,
    json_response,
    missing_scope,
    token_refused,
)
from dashboard.api.problems import Problem
from paid.lib.tenancy import tenant
from prompts.errors import PromptNotFound, TokenMayNotRead, TokenRefused, UnknownProject
from prompts.labels import move_label
from prompts.models import Prompt, PromptVersion
from prompts.models.prompts import LABEL_PATTERN, SLUG_PATTERN
from prompts.resolution import resolve_prompt_by_token

Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN, max_length=100)]
Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
# PostgreSQL keeps no NUL in a text.
Subject = Annotated[str, StringConstraints(pattern=r"^[^\x00]*$", min_length=1, max_length=500)]
Identity = Annotated[int, Field(gt=0, lt=2**63)]


class ResolveRequest(Body):
    slug: Slug
    subject: Subject | None = None
    project_id: Identity | None = None
    label: Label | None = None


class ResolvedVersion(BaseModel):
    """`experiment_variant_id` is what a report on the outcome must name; null when no experiment applies."""

    slug: str
    prompt_id: int
    version_id: int
    version: int
    scope: str
    label: str | None
    experiment_variant_id: int | None
    template: str
    system_prompt: str


class LabelRequest(Body):
    version: Annotated[int, Field(gt=0, lt=2**31)]


class LabelShown(BaseModel):
    prompt_id: int
    label: str
    version_id: int
    version: int


@endpoint("POST")
def resolve(request: HttpRequest) -> HttpResponse:
    """Who asks is looked up together with the prompt: this is one round trip to the database."""
    token = bearer_token(request)
    asked = body_of(request, ResolveRequest)
    try:
        found = resolve_prompt_by_token(
            token_digest=digest_of(token),
            project_id=asked.project_id,
            slug=asked.slug,
            subject=asked.subject,
            label=asked.label,
        )
    except TokenRefused as error:
        raise token_refused(str(error)) from None
    except TokenMayNotRead:
        raise missing_scope(ApiScope.PROMPTS_READ) from None
    except UnknownProject as error:
        raise Problem(HTTPStatus.NOT_FOUND, "project_not_found", str(error)) from None
    except PromptNotFound as error:
        raise Problem(HTTPStatus.NOT_FOUND, "prompt_not_found", str(error)) from None
    return json_response(
        ResolvedVersion(
            slug=asked.slug,
            prompt_id=found.prompt_id,
            version_id=found.prompt_version_id,
            version=found.version,
            scope=found.scope,
            label=asked.label,
            experiment_variant_id=found.ab_variant_id,
            template=found.template,
            system_prompt=found.system_prompt,
        )
    )


@endpoint("PUT")
def label(request: HttpRequest, prompt_id: int, name: str) -> HttpResponse:
    """Let a label stand on a version of one of the account's own prompts. Twice is once."""
    who = holder(request, ApiScope.PROMPTS_WRITE)
    asked = body_of(request, LabelRequest)
    with tenant(who.account_id):
        prompt = Prompt.objects.filter(account_id=who.account_id, pk=prompt_id).first()
        if prompt is None:
            detail = "The token's account has no such prompt of its own."
            raise Problem(HTTPStatus.NOT_FOUND, "prompt_not_found", detail)
        version = PromptVersion.objects.filter(
            account_id=who.account_id, prompt_id=prompt_id, version=asked.version
        ).first()
        if version is None:
            raise Problem(HTTPStatus.NOT_FOUND, "version_not_found", f"The prompt has no version {asked.version}.")
        move_label(prompt=prompt, name=name, version=version, actor=None, actor_name=f"API token “{who.name}”")
    return json_response(LabelShown(prompt_id=prompt.pk, label=name, version_id=version.pk, version=version.version))
