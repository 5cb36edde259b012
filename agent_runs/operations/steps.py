"""The timeline of a run."""

from django.db import transaction
from django.db.models import F
from django.db.models.functions import Now

from agent_runs.models import AgentRun, RunStep, StepName, StepStatus


@transaction.atomic
def begin_step(*, run: AgentRun, name: StepName) -> None:
    """A step begins, or begins again: its row stays and counts the attempt."""
    again = RunStep.objects.filter(agent_run=run, name=name).update(
        status=StepStatus.RUNNING, attempt=F("attempt") + 1, finished_at=None, detail=""
    )
    if not again:
        RunStep.objects.bulk_create(
            [
                RunStep(
                    account_id=run.account_id,
                    agent_run=run,
                    name=name,
                    status=StepStatus.RUNNING,
                    started_at=Now(),
                )
            ],
            # Two attempts at once: the second counts itself with its next beginning.
            ignore_conflicts=True,
        )


@transaction.atomic
def explain_step(*, run: AgentRun, name: StepName, detail: str) -> None:
    """Say on the timeline what a step that goes on waits for."""
    RunStep.objects.filter(agent_run=run, name=name, status=StepStatus.RUNNING).update(detail=detail[:2000])


@transaction.atomic
def end_step(*, run: AgentRun, name: StepName, status: StepStatus = StepStatus.DONE, detail: str = "") -> None:
    RunStep.objects.filter(agent_run=run, name=name).update(status=status, detail=detail[:2000], finished_at=Now())


@transaction.atomic
def end_open_steps(*, run: AgentRun, except_for: StepName, status: StepStatus, detail: str) -> None:
    """Whatever still runs on the timeline ends with the run."""
    open_steps = RunStep.objects.filter(agent_run=run, status__in=(StepStatus.RUNNING, StepStatus.PAUSED))
    open_steps.exclude(name=except_for).update(status=status, detail=detail[:2000], finished_at=Now())
