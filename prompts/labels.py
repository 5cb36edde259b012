"""Labels such as `production` on the versions of a prompt: moved and taken away here, each time with an audit event."""

import re
from collections.abc import Mapping

from django.db import transaction

from accounts.models import User
from accounts.operations import record_audit_event
from prompts.errors import BadLabel, VersionNotOfPrompt
from prompts.models import Prompt, PromptLabel, PromptVersion
from prompts.models.prompts import LABEL_PATTERN

MOVED = "prompt.label_moved"
REMOVED = "prompt.label_removed"


@transaction.atomic
def move_label(
    *, prompt: Prompt, name: str, version: PromptVersion, actor: User | None, actor_name: str = ""
) -> PromptLabel:
    """Let the label stand on this version, wherever it stood. Raises `BadLabel`, `VersionNotOfPrompt`.

    `actor_name` is for a program that acts by a token. Moving it to where it stands changes and records nothing.
    """
    if not re.fullmatch(LABEL_PATTERN, name):
        raise BadLabel
    # The prompt's lock, as for versions: two who move one label at the same time do so one after the other.
    locked = Prompt.objects.select_for_update(of=("self",)).get(account_id=prompt.account_id, pk=prompt.pk)
    if (version.account_id, version.prompt_id) != (locked.account_id, locked.pk):
        raise VersionNotOfPrompt
    label = PromptLabel.objects.filter(account_id=locked.account_id, prompt=locked, name=name).first()
    former_id = label.prompt_version_id if label else None
    if label is None:
        label = PromptLabel(account_id=locked.account_id, prompt=locked, name=name)
    elif former_id == version.pk:
        return label
    label.prompt_version = version
    label.moved_by = actor_name or (str(actor) if actor else "Paid")
    label.save()
    data = {"slug": locked.slug, "label": name, "from_version_id": former_id, "to_version_id": version.pk}
    _audit(locked, MOVED, actor, actor_name, data | {"version": version.version})
    return label


@transaction.atomic
def remove_label(*, label: PromptLabel, actor: User | None, actor_name: str = "") -> None:
    """Nothing is found by this label any more. Twice is once."""
    found = PromptLabel.objects.filter(account_id=label.account_id, pk=label.pk)
    if found.delete()[0]:
        data = {"slug": label.prompt.slug, "label": label.name, "from_version_id": label.prompt_version_id}
        _audit(label.prompt, REMOVED, actor, actor_name, data)


def _audit(prompt: Prompt, action: str, actor: User | None, actor_name: str, data: Mapping[str, object]) -> None:
    record_audit_event(
        account_id=prompt.account_id,
        actor=actor,
        actor_name=actor_name,
        action=action,
        object_type="prompt",
        object_id=prompt.pk,
        data=data,
    )
