"""Writes on model preferences: which models an account's runs prefer, require and exclude."""

from dataclasses import dataclass
from typing import Literal

from django.db import IntegrityError, transaction
from django.db.models import Max, Q, QuerySet

from accounts.models import User
from accounts.operations import record_audit_event
from projects.models import Project
from prompts.errors import PreferenceExists, PreferenceForeignModel, PreferenceTarget
from prompts.models import LanguageModel, ModelPreference

OBJECT_TYPE = "model_preference"
_REFUSALS = {
    "model_preferences_unique": PreferenceExists,
    "model_preferences_one_target": PreferenceTarget,
    "model_preferences_model_account": PreferenceForeignModel,
}


@dataclass(frozen=True)
class Terms:
    """What a preference says: about a provider or a model, in a project or the account, for a category or all."""

    stance: str
    provider: str = ""
    language_model: LanguageModel | None = None
    project: Project | None = None
    category: str = ""
    # Among those of the same place and stance, the lowest first; none: after all others.
    position: int | None = None


@transaction.atomic
def add_preference(*, account_id: int, terms: Terms, actor: User | None) -> ModelPreference:
    """Raises `PreferenceExists`, `PreferenceTarget` and `PreferenceForeignModel`."""
    preference = ModelPreference(account_id=account_id)
    _write(preference, terms)
    _audit(preference, "created", actor, _said(preference))
    return preference


@transaction.atomic
def change_preference(*, preference: ModelPreference, terms: Terms, actor: User | None) -> None:
    """Let it say something else. Raises what `add_preference` raises, and `ModelPreference.DoesNotExist`."""
    locked = ModelPreference.objects.select_for_update().get(account_id=preference.account_id, pk=preference.pk)
    before = _said(locked)
    _write(locked, terms)
    if before != _said(locked):
        _audit(locked, "changed", actor, {"before": before, "after": _said(locked)})


@transaction.atomic
def move_preference(*, preference: ModelPreference, direction: Literal["up", "down"], actor: User | None) -> bool:
    """Let it change places with its neighbour of the same place and stance; False when it has none on that side."""
    group = list(_alike(preference).select_for_update().order_by("pk"))
    ordered = sorted(group, key=lambda entry: (entry.position, entry.pk))
    place = next((place for place, entry in enumerate(ordered) if entry.pk == preference.pk), None)
    target = None if place is None else place + (-1 if direction == "up" else 1)
    if place is None or target is None or not 0 <= target < len(ordered):
        return False
    ordered.insert(target, ordered.pop(place))
    for position, entry in enumerate(ordered):
        if entry.position != position:
            entry.position = position
            entry.save(update_fields=["position"])
    moved = ordered[target]
    _audit(moved, "moved", actor, {**_said(moved), "from_position": place})
    return True


@transaction.atomic
def remove_preference(*, preference: ModelPreference, actor: User | None) -> None:
    """Twice is once."""
    found = ModelPreference.objects.filter(account_id=preference.account_id, pk=preference.pk)
    if found.delete()[0]:
        _audit(preference, "removed", actor, _said(preference))


def _alike(preference: ModelPreference) -> QuerySet[ModelPreference]:
    """Those between which the position decides."""
    return ModelPreference.objects.filter(
        Q(project_id=preference.project_id),
        account_id=preference.account_id,
        category=preference.category,
        stance=preference.stance,
    )


def _write(preference: ModelPreference, terms: Terms) -> None:
    preference.stance, preference.category = terms.stance, terms.category
    preference.project, preference.provider = terms.project, terms.provider
    preference.language_model = terms.language_model
    preference.model_account_id = terms.language_model.account_id if terms.language_model else None
    if terms.position is not None:
        preference.position = terms.position
    elif preference._state.adding:
        # Two who add at once may get the same position: then the one that was first comes first.
        last = _alike(preference).aggregate(last=Max("position"))["last"]
        preference.position = 0 if last is None else last + 1
    try:
        with transaction.atomic():
            preference.save()
    except IntegrityError as error:
        for constraint, refusal in _REFUSALS.items():
            if constraint in str(error):
                raise refusal from error
        raise


def _said(preference: ModelPreference) -> dict[str, object]:
    names = ("project_id", "category", "stance", "provider", "language_model_id", "position")
    return {name: getattr(preference, name) for name in names}


def _audit(preference: ModelPreference, verb: str, actor: User | None, data: dict[str, object]) -> None:
    record_audit_event(
        account_id=preference.account_id,
        actor=actor,
        action=f"{OBJECT_TYPE}.{verb}",
        object_type=OBJECT_TYPE,
        object_id=preference.pk,
        data=data,
    )
