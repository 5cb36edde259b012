"""Prompts over HTTP: the version that a subject gets, and labels moved by a program such as a deployment."""

from http import HTTPStatus
from typing import Annotated

from pydantic import BaseModel, Field, StringConstraints

from accounts.api_tokens import TokenHolder
from accounts.models import ApiScope
from dashboard.api.endpoints import Body, missing_scope, operation, token_refused
from dashboard.api.problems import Kind, Problem
from dashboard.api.shapes import Identity, Text
from prompts.errors import PromptNotFound, TokenMayNotRead, TokenRefused, UnknownProject
from prompts.labels import move_label
from prompts.models import Prompt, PromptVersion
from prompts.models.prompts import LABEL_PATTERN, SLUG_PATTERN
from prompts.resolution import resolve_prompt_by_token

PROMPT_NOT_FOUND = Kind(HTTPStatus.NOT_FOUND, "prompt_not_found")
PROJECT_NOT_FOUND = Kind(HTTPStatus.NOT_FOUND, "project_not_found")
VERSION_NOT_FOUND = Kind(HTTPStatus.NOT_FOUND, "version_not_found")

Slug = Annotated[str, StringConstraints(pattern=SLUG_PATTERN, max_length=100)]
Label = Annotated[str, StringConstraints(pattern=LABEL_PATTERN)]
Subject = Annotated[Text, StringConstraints(min_length=1, max_length=500)]


class ResolveRequest(Body):
    slug: Slug = Field(examples=["coding.implement_issue"])
    subject: Subject | None = Field(
        None, description="Who or what it is for, in your own words.", examples=["issue-17"]
    )
    project_id: Identity | None = Field(None, description="Lets the prompt of this project win.")
    label: Label | None = Field(None, description="Asks for the version that this label stands on.")


class ResolvedVersion(BaseModel):
    slug: str
    prompt_id: int
    version_id: int
    version: int
    scope: str
    label: str | None
    experiment_variant_id: int | None = Field(description="Null when no experiment applies.")
    template: str
    system_prompt: str


class LabelRequest(Body):
    version: Annotated[int, Field(gt=0, lt=2**31, examples=[3])]


class LabelShown(BaseModel):
    prompt_id: int
    label: str
    version_id: int
    version: int


@operation(
    "POST",
    scope=ApiScope.PROMPTS_READ,
    takes=ResolveRequest,
    gives=ResolvedVersion,
    problems=(PROMPT_NOT_FOUND, PROJECT_NOT_FOUND),
    looks_up_token=True,  # together with the prompt, in one round trip to the database
)
def resolve_prompt(token_digest: bytes, asked: ResolveRequest) -> ResolvedVersion:
    """The version of a prompt that a subject gets.

    The nearest prompt with this slug wins: the project's, the account's, the one that comes with Paid. The same
    `subject` gets the same variant of a running experiment for as long as that runs; without a subject it is the
    version in use. With a `label` it is the version that the label stands on, and no experiment applies.
    """
    try:
        found = resolve_prompt_by_token(
            token_digest=token_digest,
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
        raise Problem(PROJECT_NOT_FOUND, str(error)) from None
    except PromptNotFound as error:
        raise Problem(PROMPT_NOT_FOUND, str(error)) from None
    return ResolvedVersion(
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


@operation(
    "PUT",
    scope=ApiScope.PROMPTS_WRITE,
    takes=LabelRequest,
    gives=LabelShown,
    problems=(PROMPT_NOT_FOUND, VERSION_NOT_FOUND),
)
def put_label(who: TokenHolder, asked: LabelRequest, *, prompt_id: int, name: str) -> LabelShown:
    """Let a label stand on a version of one of the account's own prompts.

    It stands on one version at a time: where it stood before, it stands no more. Said twice it is said once.
    """
    prompt = Prompt.objects.filter(account_id=who.account_id, pk=prompt_id).first()
    if prompt is None:
        raise Problem(PROMPT_NOT_FOUND, "The token's account has no such prompt of its own.")
    version = PromptVersion.objects.filter(
        account_id=who.account_id, prompt_id=prompt_id, version=asked.version
    ).first()
    if version is None:
        raise Problem(VERSION_NOT_FOUND, f"The prompt has no version {asked.version}.")
    move_label(prompt=prompt, name=name, version=version, actor=None, actor_name=who.actor_name)
    return LabelShown(prompt_id=prompt.pk, label=name, version_id=version.pk, version=version.version)
