"""What a person does with a pull request. Agents have no way here."""

from django.db import transaction

from accounts.models import User
from accounts.operations import record_audit_event
from projects.forges.base import ForgePullRequest
from projects.forges.registry import forge_for
from projects.models import PullRequest


@transaction.atomic
def merge_pull_request(*, pull_request: PullRequest, actor: User) -> ForgePullRequest:
    """Merge as `actor` asked. Call it inside of `tenant()`. Raises MergeConflict and other ForgeErrors."""
    told = forge_for(pull_request.project).merge(pull_request.project, pull_request.number)
    PullRequest.objects.filter(pk=pull_request.pk).update(merged_by=actor.email)
    _record(pull_request, actor, "pull_request.merged", {"number": pull_request.number, "commit": told.merge_sha})
    return told


@transaction.atomic
def close_pull_request(*, pull_request: PullRequest, actor: User) -> ForgePullRequest:
    """Close without merging. Call it inside of `tenant()`. Raises ForgeError."""
    told = forge_for(pull_request.project).close(pull_request.project, pull_request.number)
    _record(pull_request, actor, "pull_request.closed", {"number": pull_request.number})
    return told


def _record(pull_request: PullRequest, actor: User, action: str, data: dict[str, object]) -> None:
    record_audit_event(
        account_id=pull_request.account_id,
        actor=actor,
        action=action,
        object_type="pull_request",
        object_id=str(pull_request.pk),
        data=data,
    )
