"""The search of prompts: by words, by parts of words, and past typing errors."""

from dataclasses import dataclass

from django.db import connection
from django.db.models import prefetch_related_objects

from prompts.models import Prompt, PromptVersion

MAX_TEXT_CHARACTERS = 200


@dataclass(frozen=True)
class Piece:
    """A stretch of text, which hit or did not. It is as its author wrote it: escape it before it is shown."""

    text: str
    is_hit: bool


@dataclass(frozen=True)
class PromptHit:
    """A version that matches. `matched_by` is `words`, `parts` (of longer words) or `likeness` (of a typing error)."""

    prompt: Prompt
    version: PromptVersion
    matched_by: str
    headline: tuple[Piece, ...]


@dataclass(frozen=True)
class SearchResult:
    """Best first. `understood_as` is the nearest spelling that prompts know, when nothing had the one asked for."""

    hits: tuple[PromptHit, ...] = ()
    understood_as: str = ""


def search_prompts(*, text: str, limit: int = 20, every_version: bool = False) -> SearchResult:
    """The running tenant's and the global prompts that answer `text`, current versions only or `every_version`.

    `text` knows quotes, minus and OR as search engines do; no text is an error. One query as the owner, which finds,
    and one as the tenant, which reads, two where prompts of projects are among them. Call it inside of `tenant(...)`:
    elsewhere nothing is found.
    """
    wanted = text.replace("\0", "").strip()[:MAX_TEXT_CHARACTERS]
    if not wanted:
        return SearchResult()
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT prompt_version_id, matched_by, spelt, headline FROM find_prompts(%s, %s, %s)",
            [wanted, limit, every_version],
        )
        rows = cursor.fetchall()
    versions = _versions([row[0] for row in rows])
    hits = tuple(
        PromptHit(versions[version_id].prompt, versions[version_id], matched_by, pieces(headline))
        for version_id, matched_by, _, headline in rows
        if version_id in versions
    )
    return SearchResult(hits, next((spelt for _, _, spelt, _ in rows if spelt), ""))


def _versions(found: list[int]) -> dict[int, PromptVersion]:
    """With what a list of hits shows: a row has many columns and some long texts, and to read them takes longer.

    Few prompts belong to one project: these are asked for where there are any, because the join costs in every search.
    """
    shown = ("version", "created_at", "account_id", "prompt__name", "prompt__slug", "prompt__scope")
    kept = ("prompt__account_id", "prompt__current_version_id", "prompt__project_id")
    versions = PromptVersion.objects.select_related("prompt").only(*shown, *kept).in_bulk(found)
    of_projects = [version.prompt for version in versions.values() if version.prompt.project_id]
    if of_projects:
        prefetch_related_objects(of_projects, "project")
    return versions


# What prompts/sql/finding.sql puts into a headline: the ends of a hit, and stand-ins for signs that part words.
_HIT_STARTS, _HIT_ENDS = "\ue000", "\ue001"
_STAND_INS = str.maketrans("\ue002\ue003\ue004\ue005\ue006\ue007", "./_<>&")


def pieces(headline: str) -> tuple[Piece, ...]:
    """A headline from the database in its pieces, on one line."""
    plain = " ".join(headline.translate(_STAND_INS).split())
    found = []
    for part in plain.split(_HIT_STARTS):
        hit, end, rest = part.rpartition(_HIT_ENDS) if _HIT_ENDS in part else ("", "", part)
        found += [Piece(hit, True)] * bool(end) + [Piece(rest, False)] * bool(rest)
    return tuple(found)
