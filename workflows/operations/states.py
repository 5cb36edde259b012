"""The projection of what Temporal runs for us, for the pages. Temporal stays the truth."""

from django.db import transaction
from django.db.models.functions import Now

from workflows.models import WorkflowState, WorkflowStatus


@transaction.atomic
def record_started(
    *,
    account_id: int,
    workflow_id: str,
    temporal_run_id: str,
    workflow_type: str,
    agent_run_id: int | None = None,
) -> None:
    """Note that an execution runs. Said twice, or after its end, it changes nothing."""
    if not temporal_run_id:
        return
    WorkflowState.objects.bulk_create(
        [
            WorkflowState(
                account_id=account_id,
                workflow_id=workflow_id,
                temporal_run_id=temporal_run_id,
                workflow_type=workflow_type,
                agent_run_id=agent_run_id,
                started_at=Now(),
            )
        ],
        ignore_conflicts=True,
    )


@transaction.atomic
def record_ended(*, workflow_id: str, temporal_run_id: str, status: WorkflowStatus, error: str = "") -> None:
    WorkflowState.objects.filter(
        workflow_id=workflow_id, temporal_run_id=temporal_run_id, status=WorkflowStatus.RUNNING
    ).update(status=status, error=error, finished_at=Now())
