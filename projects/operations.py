"""Writes on projects and issues."""

from django.db import transaction

from projects.models import Issue, WorkState


@transaction.atomic
def set_work_state(*, issue: Issue, work_state: WorkState) -> None:
    """Note what Paid does about the issue."""
    Issue.objects.filter(pk=issue.pk).update(work_state=work_state)
    issue.work_state = work_state
