"""Compares what we believe about Temporal with what it says, and ends runs that nobody will end any more."""

import asyncio
import logging
from dataclasses import dataclass
from datetime import timedelta

from django.db.models import QuerySet
from django.db.models.functions import Now
from temporalio.client import Client, WorkflowExecutionStatus
from temporalio.service import RPCError, RPCStatusCode

from agent_runs.models import LIVE_STATUSES, AgentRun, RunStatus, StepName, StepStatus
from agent_runs.notes import note
from agent_runs.operations import end_open_steps, finish_run, lock_issue
from metrics.operations import close_escrow
from paid.lib.tenancy import platform
from workflows.connections import released_connections
from workflows.contracts import issue_workflow_id, run_workflow_id
from workflows.models import OutboxCommand, WorkflowState, WorkflowStatus
from workflows.operations.model_choice import close_choice
from workflows.operations.states import record_ended

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 20.0
# Younger ones are looked after by the way itself.
QUIET = timedelta(seconds=30)
BATCH = 100
RPC_TIMEOUT = timedelta(seconds=10)
LOST = (
    "The run's workflow is gone (it was terminated, or Temporal lost it), so nobody works on this run. Retry the run."
)

_STATUS_OF = {
    WorkflowExecutionStatus.COMPLETED: WorkflowStatus.COMPLETED,
    WorkflowExecutionStatus.FAILED: WorkflowStatus.FAILED,
    WorkflowExecutionStatus.CANCELED: WorkflowStatus.CANCELED,
    WorkflowExecutionStatus.TERMINATED: WorkflowStatus.TERMINATED,
    WorkflowExecutionStatus.TIMED_OUT: WorkflowStatus.TIMED_OUT,
    WorkflowExecutionStatus.CONTINUED_AS_NEW: WorkflowStatus.CONTINUED_AS_NEW,
}


@dataclass(frozen=True)
class Execution:
    id: int
    workflow_id: str
    temporal_run_id: str


@dataclass(frozen=True)
class QuietRun:
    run_id: int
    has_command_under_way: bool
    workflow_ids: tuple[str, str]


class Reconciliation:
    """Runs beside the control worker. Any number may run at once: all it does is compare-and-set."""

    def __init__(self, client: Client) -> None:
        self._client = client

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.reconcile()
            except Exception:  # a server that is away now is asked again later
                logger.exception("Workflows could not be reconciled")
            await asyncio.sleep(INTERVAL_SECONDS)

    async def reconcile(self) -> None:
        """All of them, a batch at a time: what runs on for long must not hide what ended behind it."""
        last_id = 0
        while executions := await asyncio.to_thread(_believed_running, last_id):
            last_id = executions[-1].id
            for execution in executions:
                status = await self._status(execution.workflow_id, execution.temporal_run_id)
                if status != WorkflowStatus.RUNNING:
                    await asyncio.to_thread(_record, execution, status or WorkflowStatus.TERMINATED)
        last_id = 0
        while runs := await asyncio.to_thread(_quiet_live_runs, last_id):
            last_id = runs[-1].run_id
            for run in runs:
                if not run.has_command_under_way:
                    await self._end_if_lost(run)

    async def _end_if_lost(self, run: QuietRun) -> None:
        # The issue's workflow may hold a start that it has not read yet.
        states = [await self._status(workflow_id, None) for workflow_id in run.workflow_ids]
        if WorkflowStatus.RUNNING not in states:
            await asyncio.to_thread(_fail_lost_run, run.run_id)

    async def _status(self, workflow_id: str, temporal_run_id: str | None) -> WorkflowStatus | None:
        """None: the server does not know it (any more)."""
        handle = self._client.get_workflow_handle(workflow_id, run_id=temporal_run_id)
        try:
            description = await handle.describe(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status == RPCStatusCode.NOT_FOUND:
                return None
            raise
        if description.status is None:
            return WorkflowStatus.RUNNING
        return _STATUS_OF.get(description.status, WorkflowStatus.RUNNING)


def _live() -> QuerySet[AgentRun]:
    return AgentRun.objects.filter(status__in=LIVE_STATUSES)


def _believed_running(after_id: int) -> list[Execution]:
    with released_connections(), platform():
        rows = WorkflowState.objects.filter(
            status=WorkflowStatus.RUNNING, started_at__lt=Now() - QUIET, pk__gt=after_id
        )
        found = list(rows.order_by("pk").values_list("pk", "workflow_id", "temporal_run_id")[:BATCH])
    return [Execution(*values) for values in found]


def _record(execution: Execution, status: WorkflowStatus) -> None:
    with released_connections(), platform():
        record_ended(workflow_id=execution.workflow_id, temporal_run_id=execution.temporal_run_id, status=status)


def _quiet_live_runs(after_id: int) -> list[QuietRun]:
    """Live runs that nothing has happened to for a while."""
    with released_connections(), platform():
        rows = _live().filter(updated_at__lt=Now() - QUIET, pk__gt=after_id).select_related("issue").order_by("pk")
        found = [
            # A question to a model belongs to the workflow that asks it.
            (row.pk, (issue_workflow_id(row.project_id, row.issue.number), row.workflow_id or run_workflow_id(row.pk)))
            for row in rows[:BATCH]
        ]
        commanded = OutboxCommand.objects.filter(
            delivered_at__isnull=True, workflow_id__in=[workflow_ids[0] for _, workflow_ids in found]
        )
        under_way = set(commanded.values_list("workflow_id", flat=True))
    return [QuietRun(run_id, workflow_ids[0] in under_way, workflow_ids) for run_id, workflow_ids in found]


def _fail_lost_run(run_id: int) -> None:
    with released_connections(), platform():
        run = _live().select_related("issue").filter(pk=run_id, updated_at__lt=Now() - QUIET).first()
        if run is None:
            return
        logger.warning("Run %s has no workflow any more", run_id)
        lock_issue(run)
        close_escrow(run=run)
        close_choice(run=run, why="The run ended before it answered.", is_stopped=True)
        end_open_steps(run=run, except_for=StepName.FINISH, status=StepStatus.FAILED, detail=LOST)
        if finish_run(run=run, status=RunStatus.FAILED, error_code="workflow_lost", error=LOST):
            note(run=run, text=f"The run failed (workflow_lost). {LOST}")
