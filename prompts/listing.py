"""The list of prompts in pages: by slug, the nearest scope first."""

from dataclasses import dataclass

from django.db.models import Q

from paid.lib.tenancy import GLOBAL_ACCOUNT_ID
from prompts.models import Prompt, Scope

_SHOWN = ("account_id", "slug", "name", "scope", "updated_at", "project__account_id", "project__name")
_SHOWN_OF_VERSION = ("current_version__account_id", "current_version__version")


@dataclass(frozen=True)
class PromptPosition:
    """Where a page starts: the last row of the page before. `str()` and `parse` are the form in URLs."""

    slug: str
    scope: Scope
    project_id: int | None = None

    @classmethod
    def of(cls, prompt: Prompt) -> "PromptPosition":
        return cls(prompt.slug, Scope(prompt.scope), prompt.project_id)

    def __str__(self) -> str:
        return f"{self.slug}~{self.project_id or self.scope}"

    @classmethod
    def parse(cls, text: str) -> "PromptPosition | None":
        slug, _, nearness = text.partition("~")
        # No slug has one, and no column takes it.
        if "\0" in slug:
            return None
        if nearness in (Scope.ACCOUNT, Scope.GLOBAL):
            return cls(slug, Scope(nearness))
        # A bigint holds 18 digits whatever they are.
        is_number = nearness.isascii() and nearness.isdigit() and len(nearness) <= 18
        return cls(slug, Scope.PROJECT, int(nearness)) if is_number else None

    def own(self) -> Q:
        """What of an account comes behind it: its projects' prompts of a slug by project, then its own."""
        rest = Q(slug__gt=self.slug)
        if self.scope == Scope.PROJECT:
            rest |= Q(project_id__gt=self.project_id) | Q(project_id=None)
        # The index is read from this simple bound; the exact one only trims its edge.
        return rest & Q(slug__gte=self.slug)

    def shared(self) -> Q:
        """What of the global ones comes behind it: they are the last of a slug."""
        return Q(slug__gt=self.slug) if self.scope == Scope.GLOBAL else Q(slug__gte=self.slug)


@dataclass(frozen=True)
class PromptPage:
    prompts: list[Prompt]
    next_position: PromptPosition | None


def prompt_page(account_id: int, *, after: PromptPosition | None, size: int) -> PromptPage:
    """A page of the account's prompts and the global ones, with what a list of them shows.

    The index prompts_in_order serves each of the two beginnings, which are merged; one condition for both owners would
    sort all of them. Versions have long texts, so only the number of the current one is read.
    """
    own = Prompt.objects.filter(after.own() if after else Q(), account_id=account_id)
    shared = Prompt.objects.filter(after.shared() if after else Q(), account_id=GLOBAL_ACCOUNT_ID)
    first_own, first_shared = (
        prompts.order_by("slug", "project_id").values_list("slug", "project_id", "account_id", "pk")[: size + 1]
        for prompts in (own, shared)
    )
    # UNION, not ALL: for the global account both are the same.
    both = first_own.union(first_shared).order_by("slug", "project_id", "-account_id")
    keys = [key for _, _, _, key in both[: size + 1]]
    rows = Prompt.objects.select_related("project", "current_version").only(*_SHOWN, *_SHOWN_OF_VERSION)
    found = rows.in_bulk(keys)
    prompts = [found[key] for key in keys if key in found]
    has_more = len(prompts) > size
    return PromptPage(prompts[:size], PromptPosition.of(prompts[size - 1]) if has_more else None)
