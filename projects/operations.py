"""Writes on projects and issues."""

from django.db import transaction

from accounts.models import User
from accounts.operations import record_audit_event
from projects.models import Issue, Project, WorkState
from projects.settings_shape import MetaAgentSettings


@transaction.atomic
def set_work_state(*, issue: Issue, work_state: WorkState) -> None:
    """Note what Paid does about the issue."""
    Issue.objects.filter(pk=issue.pk).update(work_state=work_state)
    issue.work_state = work_state


@transaction.atomic
def set_meta_agent(*, project: Project, settings: MetaAgentSettings, actor: User) -> None:
    """Whether runs that start from now on ask a model for theirs. Other settings stay as they are."""
    locked = Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    chosen = settings.model_dump(mode="json")
    if locked.settings.get("meta_agent") == chosen:
        return
    locked.settings = {**locked.settings, "meta_agent": chosen}
    locked.save(update_fields=["settings"])
    project.settings = locked.settings
    record_audit_event(
        account_id=project.account_id,
        actor=actor,
        action="project.meta_agent",
        object_type="project",
        object_id=project.pk,
        data=chosen,
    )
