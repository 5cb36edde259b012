"""Brings the seeded prompts into account 0 without ever replacing what a person wrote."""

from dataclasses import dataclass
from enum import StrEnum

from django.db import transaction

from paid.lib.tenancy import GLOBAL_ACCOUNT_ID
from prompts.files import SEEDS, PromptFile
from prompts.models import Prompt, PromptVersion, StyleGuide
from prompts.operations import PromptText, create_prompt, save_version

STYLE_GUIDE = "General"


class Seeded(StrEnum):
    CREATED = "created"
    UPDATED = "updated"
    UNCHANGED = "unchanged"
    # A person has changed the prompt: the new text is there as a version, which a person may promote.
    OFFERED = "offered"


@dataclass(frozen=True)
class SeedOutcome:
    slug: str
    result: Seeded
    version: int


@transaction.atomic
def seed_prompt(file: PromptFile) -> SeedOutcome:
    """Create the global prompt, or add the file's text as a new version if no version has it yet.

    The new version becomes current only where the current one was seeded too. Call it inside of `platform()`.
    """
    prompt = (
        Prompt.objects.select_for_update(of=("self",))
        .select_related("current_version")
        .filter(account_id=GLOBAL_ACCOUNT_ID, project=None, slug=file.slug)
        .first()
    )
    if prompt is None:
        version = create_prompt(
            account_id=GLOBAL_ACCOUNT_ID,
            slug=file.slug,
            name=file.name,
            category=file.category,
            description=file.description,
            text=file.text,
            actor=None,
            change_notes="Came with Paid",
        )
        return SeedOutcome(file.slug, Seeded.CREATED, version.version)
    newest = PromptVersion.objects.filter(prompt=prompt).order_by("-version").first()
    for version in PromptVersion.objects.filter(prompt=prompt).order_by("-version"):
        if PromptText(version.template, version.system_prompt) == file.text:
            return SeedOutcome(file.slug, Seeded.UNCHANGED, version.version)
    saved = save_version(
        prompt=prompt,
        text=file.text,
        actor=None,
        expected_parent=newest,
        change_notes="Came with a newer Paid",
        is_promoted=prompt.current_version is not None and _is_seeded(prompt.current_version),
    )
    result = Seeded.UPDATED if saved.is_current else Seeded.OFFERED
    return SeedOutcome(file.slug, result, saved.version.version)


@transaction.atomic
def seed_style_guide() -> SeedOutcome:
    """The global style guide, only if there is none of this name."""
    text = (SEEDS / "style_guide.txt").read_text(encoding="utf-8").strip()
    _, is_new = StyleGuide.objects.get_or_create(
        account_id=GLOBAL_ACCOUNT_ID,
        project=None,
        language="",
        name=STYLE_GUIDE,
        defaults={"raw_text": text, "compressed_text": text},
    )
    return SeedOutcome("style guide", Seeded.CREATED if is_new else Seeded.UNCHANGED, 1)


def _is_seeded(version: PromptVersion) -> bool:
    return version.created_by_id is None and version.author == "Paid"
