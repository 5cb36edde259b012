"""Which version of a prompt a run gets."""

from dataclasses import dataclass

from django.db import connection

from prompts.errors import PromptNotFound


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


def resolve_prompt(*, account_id: int, project_id: int | None, slug: str, subject: str) -> ResolvedPrompt:
    """The nearest prompt with a current version (project, account, global) for `subject`, e.g. an issue's id.

    One round trip. The same subject gets the same variant for as long as the experiment's variants and weights
    stay as they are. Call it inside of `tenant(account_id)`; raises `PromptNotFound`.
    """
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT prompt_id, prompt_version_id, version_account_id, version, template, system_prompt,"
            " ab_variant_id, scope FROM resolve_prompt(%s, %s, %s, %s)",
            [account_id, project_id, slug, subject],
        )
        row = cursor.fetchone()
    if row is None:
        raise PromptNotFound(
            f"There is no prompt `{slug}` for this project. Run `manage.py seed_prompts`, or write one with this slug."
        )
    return ResolvedPrompt(*row)
