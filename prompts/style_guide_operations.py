"""Writes on style guides. Each leaves an audit event that holds what stood there before, so no text is ever lost."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime

from django.db import IntegrityError, transaction

from accounts.models import User
from accounts.operations import record_audit_event
from projects.models import Project
from prompts.compression import compress
from prompts.errors import StyleGuideChanged, StyleGuideExists
from prompts.models import StyleGuide

OBJECT_TYPE = "style_guide"
CREATED = "style_guide.created"
CHANGED = "style_guide.changed"
REMOVED = "style_guide.removed"


@dataclass(frozen=True)
class GuideText:
    """What people write. Without a short form of their own the text is compressed by rule."""

    name: str
    raw_text: str
    compressed_text: str = ""
    language: str = ""
    project: Project | None = None


@transaction.atomic
def create_style_guide(*, account_id: int, text: GuideText, actor: User | None) -> StyleGuide:
    """A new guide of the account or of one of its projects. Raises `StyleGuideExists`."""
    guide = StyleGuide(account_id=account_id)
    _write(guide, text)
    _audit(guide, CREATED, actor, {"after": _fields(guide)})
    return guide


@transaction.atomic
def change_style_guide(
    *, guide: StyleGuide, text: GuideText, actor: User | None, expected_updated_at: datetime | None
) -> StyleGuide:
    """Replace the text that the person had before them. Saving it as it is changes and records nothing.

    Raises `StyleGuideChanged`, with the row as it stands, when somebody saved since `expected_updated_at` (None: not
    known); `StyleGuideExists`; and `StyleGuide.DoesNotExist` when it was removed.
    """
    locked = _lock(guide)
    if locked.updated_at != expected_updated_at:
        raise StyleGuideChanged(locked)
    former = _fields(locked)
    if former == _fields(_filled(locked, text)):
        return locked
    _write(locked, text)
    changed = {name: value for name, value in _fields(locked).items() if value != former[name]}
    before = {name: former[name] for name in changed}
    _audit(locked, CHANGED, actor, {"before": before, "after": changed})
    return locked


@transaction.atomic
def remove_style_guide(*, guide: StyleGuide, actor: User | None) -> None:
    """Take it away; the audit event keeps its text. Twice is once."""
    locked = StyleGuide.objects.select_for_update().filter(account_id=guide.account_id, pk=guide.pk).first()
    if locked is None:
        return
    _audit(locked, REMOVED, actor, {"before": _fields(locked)})
    locked.delete()


def is_compressed_by_rule(guide: StyleGuide) -> bool:
    """Whether nobody wrote the short form: then it follows the text."""
    return guide.compressed_text in ("", compress(guide.raw_text))


def _lock(guide: StyleGuide) -> StyleGuide:
    return StyleGuide.objects.select_for_update().get(account_id=guide.account_id, pk=guide.pk)


def _filled(guide: StyleGuide, text: GuideText) -> StyleGuide:
    guide.project, guide.name, guide.language, guide.raw_text = text.project, text.name, text.language, text.raw_text
    guide.compressed_text = text.compressed_text or compress(text.raw_text)
    return guide


def _write(guide: StyleGuide, text: GuideText) -> None:
    try:
        with transaction.atomic():
            _filled(guide, text).save()
    except IntegrityError as error:
        if "style_guides_name_unique" in str(error):
            raise StyleGuideExists from error
        raise
    guide.refresh_from_db(fields=["created_at", "updated_at"])


def _fields(guide: StyleGuide) -> dict[str, object]:
    names = ("project_id", "name", "language", "raw_text", "compressed_text")
    return {name: getattr(guide, name) for name in names}


def _audit(guide: StyleGuide, action: str, actor: User | None, data: Mapping[str, object]) -> None:
    record_audit_event(
        account_id=guide.account_id,
        actor=actor,
        action=action,
        object_type=OBJECT_TYPE,
        object_id=guide.pk,
        data={"name": guide.name, **data},
    )
