"""What people decide about a pull request of this machine. Agents never call these."""

from django.db import transaction

from accounts.models import User
from accounts.operations import record_audit_event
from projects.forges.registry import forge_for
from projects.models import Comment, Project, PullRequest, WorkState
from projects.operations import set_work_state


@transaction.atomic
def merge_pull_request(*, pull_request: PullRequest, actor: User) -> None:
    """Merge into the base branch; its issue is done. Merged already, it stays as it was. Raises ForgeError."""
    forge_for(pull_request.project).merge(pull_request.project, pull_request.number)
    # Only the first one who merges is named.
    PullRequest.objects.filter(pk=pull_request.pk, merged_by="").update(merged_by=str(actor))
    if pull_request.issue is not None:
        set_work_state(issue=pull_request.issue, work_state=WorkState.DONE)
    _audit(pull_request, "pull_request.merge", actor)


@transaction.atomic
def close_pull_request(*, pull_request: PullRequest, actor: User) -> None:
    """Close without merging; its issue waits for another run. Raises ForgeError."""
    told = forge_for(pull_request.project).close(pull_request.project, pull_request.number)
    if told.state == "closed" and pull_request.issue is not None:
        set_work_state(issue=pull_request.issue, work_state=WorkState.NEW)
    _audit(pull_request, "pull_request.close", actor)


@transaction.atomic
def comment_on(*, project: Project, number: int, author: User, body: str) -> Comment:
    """A person's comment on an issue or pull request of the local forge."""
    return Comment.objects.create(
        account_id=project.account_id, project=project, number=number, author=str(author), body=body
    )


def _audit(pull_request: PullRequest, action: str, actor: User) -> None:
    record_audit_event(
        account_id=pull_request.account_id,
        actor=actor,
        action=action,
        object_type="pull_request",
        object_id=pull_request.pk,
        data={"number": pull_request.number},
    )
