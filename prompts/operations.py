"""Writes on prompts. A version is only ever added; what changes is which one is current."""

from collections.abc import Mapping
from dataclasses import dataclass

from django.db import IntegrityError, transaction
from django.db.models import Max

from accounts.models import AuditEvent, User
from accounts.operations import record_audit_event
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID
from projects.models import Project
from prompts.errors import NoEarlierVersion, NothingChanged, PromptExists, VersionNotOfPrompt
from prompts.models import Prompt, PromptCategory, PromptVersion, Scope
from prompts.template_check import check_template

CREATED = "prompt.created"
SAVED = "prompt.version_saved"
PROMOTED = "prompt.promoted"
ROLLED_BACK = "prompt.rolled_back"
WITHDRAWN = "prompt.withdrawn"
DESCRIBED = "prompt.described"


@dataclass(frozen=True)
class PromptText:
    """What a version says. Both parts are templates (prompts.template_check)."""

    template: str
    system_prompt: str = ""


@dataclass(frozen=True)
class SavedVersion:
    """`newer` is what became current in between: then this version is kept, but does not replace it."""

    version: PromptVersion
    is_current: bool
    newer: tuple[PromptVersion, ...] = ()


@transaction.atomic
def create_prompt(
    *,
    account_id: int,
    project: Project | None = None,
    slug: str,
    name: str,
    category: PromptCategory | str,
    text: PromptText,
    actor: User | None,
    description: str = "",
    change_notes: str = "",
) -> PromptVersion:
    """A new prompt with its first version, which is current. Raises `TemplateRefused`, `PromptExists`."""
    variables = _variables(text)
    prompt = Prompt(
        account_id=account_id,
        project=project,
        scope=_scope(account_id, project),
        slug=slug,
        name=name,
        category=category,
        description=description,
    )
    try:
        with transaction.atomic():
            prompt.save(force_insert=True)
    except IntegrityError as error:
        if "prompts_slug_unique" in str(error):
            raise PromptExists from error
        raise
    version = _add_version(prompt, 1, text, variables, None, change_notes or "First version", actor)
    _make_current(prompt, version, actor, CREATED)
    return version


@transaction.atomic
def save_version(
    *,
    prompt: Prompt,
    text: PromptText,
    actor: User | None,
    expected_parent: PromptVersion | None,
    change_notes: str = "",
    is_promoted: bool = True,
) -> SavedVersion:
    """Add a version that was written from `expected_parent`, and make it current.

    When another version is current than `expected_parent`, somebody was faster, or an older one was edited: the
    text is saved under the next number with its true parent, so nothing is lost, but it does not become current,
    and `newer` says what is. Raises `TemplateRefused`, `NothingChanged`, `VersionNotOfPrompt`.
    """
    variables = _variables(text)
    locked = _lock(prompt)
    if expected_parent is not None:
        _refuse_foreign(locked, expected_parent)
        if text == PromptText(expected_parent.template, expected_parent.system_prompt):
            raise NothingChanged
    versions = PromptVersion.objects.filter(account_id=locked.account_id, prompt=locked)
    newest = versions.aggregate(newest=Max("version"))["newest"] or 0
    current = versions.filter(pk=locked.current_version_id) if locked.current_version_id else versions.none()
    newer = tuple(current.exclude(pk=expected_parent.pk) if expected_parent else current)
    version = _add_version(locked, newest + 1, text, variables, expected_parent, change_notes, actor)
    is_current = is_promoted and not newer
    if is_current:
        _make_current(locked, version, actor, SAVED)
    else:
        _audit(locked, SAVED, actor, {"saved_version_id": version.pk, "version": version.version})
    prompt.current_version_id = locked.current_version_id
    return SavedVersion(version, is_current, newer)


@transaction.atomic
def promote(*, prompt: Prompt, version: PromptVersion, actor: User | None) -> None:
    """Make this version the current one."""
    locked = _lock(prompt)
    _refuse_foreign(locked, version)
    if locked.current_version_id != version.pk:
        _make_current(locked, version, actor, PROMOTED)
    prompt.current_version_id = version.pk


@transaction.atomic
def roll_back(*, prompt: Prompt, actor: User | None) -> PromptVersion:
    """Make that version current which was so before the current one; again goes further back.

    The audit log is the history of what was current. Raises `NoEarlierVersion`.
    """
    locked = _lock(prompt)
    became_current = (
        AuditEvent.objects.filter(
            account_id=locked.account_id,
            object_type="prompt",
            object_id=str(locked.pk),
            action__in=(CREATED, SAVED, PROMOTED),
            data__to_version_id=locked.current_version_id,
        )
        .order_by("-created_at")
        .first()
    )
    if became_current is None or became_current.data["from_version_id"] is None:
        raise NoEarlierVersion
    former_id: int = became_current.data["from_version_id"]
    former = PromptVersion.objects.get(account_id=locked.account_id, prompt=locked, pk=former_id)
    _make_current(locked, former, actor, ROLLED_BACK)
    prompt.current_version_id = former.pk
    return former


@transaction.atomic
def withdraw(*, prompt: Prompt, actor: User | None) -> None:
    """Let the prompt of the next wider scope count again. Versions stay; promoting one ends it."""
    locked = _lock(prompt)
    if locked.current_version_id is not None:
        _make_current(locked, None, actor, WITHDRAWN)
    prompt.current_version_id = None


@transaction.atomic
def describe_prompt(
    *, prompt: Prompt, name: str, category: PromptCategory | str, description: str, actor: User | None
) -> None:
    """Change what people read about the prompt; its text is a matter of versions."""
    locked = _lock(prompt)
    locked.name, locked.category, locked.description = name, category, description
    locked.save(update_fields=["name", "category", "description"])
    _audit(locked, DESCRIBED, actor, {"name": name, "category": str(category)})


def _scope(account_id: int, project: Project | None) -> Scope:
    if account_id == GLOBAL_ACCOUNT_ID:
        return Scope.GLOBAL
    return Scope.ACCOUNT if project is None else Scope.PROJECT


def _variables(text: PromptText) -> list[str]:
    found = {*check_template(text.template).variables}
    found |= {*check_template(text.system_prompt, is_system_prompt=True).variables}
    return sorted(found)


def _lock(prompt: Prompt) -> Prompt:
    """The row lock under which version numbers are taken and the current version changes."""
    return Prompt.objects.select_for_update(of=("self",)).get(account_id=prompt.account_id, pk=prompt.pk)


def _refuse_foreign(prompt: Prompt, version: PromptVersion) -> None:
    if (version.account_id, version.prompt_id) != (prompt.account_id, prompt.pk):
        raise VersionNotOfPrompt


def _add_version(
    prompt: Prompt,
    number: int,
    text: PromptText,
    variables: list[str],
    parent: PromptVersion | None,
    change_notes: str,
    actor: User | None,
) -> PromptVersion:
    version = PromptVersion(
        account_id=prompt.account_id,
        prompt=prompt,
        version=number,
        template=text.template,
        system_prompt=text.system_prompt,
        variables=variables,
        change_notes=change_notes,
        created_by=actor,
        author=str(actor) if actor else "Paid",
        parent_version=parent,
    )
    version.save(force_insert=True)
    return version


def _make_current(prompt: Prompt, version: PromptVersion | None, actor: User | None, action: str) -> None:
    former_id = prompt.current_version_id
    prompt.current_version = version
    prompt.save(update_fields=["current_version"])
    to_version_id = version.pk if version else None
    number = version.version if version else None
    _audit(prompt, action, actor, {"from_version_id": former_id, "to_version_id": to_version_id, "version": number})


def _audit(prompt: Prompt, action: str, actor: User | None, data: Mapping[str, object]) -> None:
    record_audit_event(
        account_id=prompt.account_id,
        actor=actor,
        action=action,
        object_type="prompt",
        object_id=prompt.pk,
        data={"slug": prompt.slug, **data},
    )
