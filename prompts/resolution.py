"""Which version of a prompt a run gets."""

from dataclasses import dataclass

from django.db import connection

from prompts.errors import PromptError, PromptNotFound, TokenMayNotRead, TokenRefused, UnknownProject

# Each gives the columns of ResolvedPrompt in its order.
_BY_SUBJECT = "SELECT * FROM resolve_prompt(%s, %s, %s, %s)"
_BY_LABEL = "SELECT * FROM resolve_label(%s, %s, %s, %s)"
_FOR_HOLDER = "SELECT * FROM resolve_prompt_by_token(%s, %s, %s, %s, %s)"  # after the refusal


@dataclass(frozen=True)
class ResolvedPrompt:
    """A version and how it was found. `version_account_id` is 0 for a global prompt.

    `ab_variant_id` is None when no experiment runs, or when the subject is outside of its traffic share.
    """

    prompt_id: int
    prompt_version_id: int
    version_account_id: int
    version: int
    template: str
    system_prompt: str
    ab_variant_id: int | None
    scope: str


_REFUSALS: dict[str, type[PromptError]] = {
    "unknown_token": TokenRefused,
    "missing_scope": TokenMayNotRead,
    "unknown_project": UnknownProject,
}


def resolve_prompt(
    *, account_id: int, project_id: int | None, slug: str, subject: str | None, label: str | None = None
) -> ResolvedPrompt:
    """The nearest prompt with a current version (project, account, global) for `subject`, e.g. an issue's id.

    One round trip. The same subject gets the same variant for as long as the experiment's variants and weights
    stay as they are; without a subject no experiment applies. With a `label` it is the version that the label stands
    on, of the nearest prompt that has it, and no experiment applies. Call it inside of `tenant(account_id)`; raises
    `PromptNotFound`.
    """
    with connection.cursor() as cursor:
        if label is None:
            cursor.execute(_BY_SUBJECT, [account_id, project_id, slug, subject])
        else:
            cursor.execute(_BY_LABEL, [account_id, project_id, slug, label])
        row = cursor.fetchone()
    if row is None:
        raise _not_found(slug, label)
    return ResolvedPrompt(*row)


def resolve_prompt_by_token(
    *, token_digest: bytes, project_id: int | None, slug: str, subject: str | None, label: str | None = None
) -> ResolvedPrompt:
    """As `resolve_prompt`, for the account of a token of the HTTP API: authenticated and resolved in one round trip.

    Needs no tenant's context. Raises `TokenRefused`, `TokenMayNotRead`, `UnknownProject`, `PromptNotFound`.
    """
    with connection.cursor() as cursor:
        cursor.execute(_FOR_HOLDER, [token_digest, project_id, slug, subject, label])
        row = cursor.fetchone()
    if row is None:
        raise _not_found(slug, label)
    refusal, *found = row
    if refusal is not None:
        raise _REFUSALS[refusal]
    return ResolvedPrompt(*found)


def _not_found(slug: str, label: str | None) -> PromptNotFound:
    if label is not None:
        return PromptNotFound(
            f"No version of the prompt `{slug}` has the label `{label}`. Set it on the prompt's page."
        )
    return PromptNotFound(
        f"There is no prompt `{slug}` for this project. Run `manage.py seed_prompts`, or write one with this slug."
    )
