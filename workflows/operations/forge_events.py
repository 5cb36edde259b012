"""What a forge's news do to our rows and runs: the webhook and the poll both come through here."""

from dataclasses import dataclass
from datetime import datetime

from django.db import transaction

from accounts.operations import record_audit_event
from agent_runs.errors import RunAlreadyLive, RunHasEnded
from agent_runs.models import LIVE_STATUSES, AgentRun, RunTrigger
from agent_runs.notes import note
from metrics.errors import BudgetExhausted
from projects.forges.base import ForgeIssue
from projects.labels import ProjectLabels
from projects.mirror import is_asked_for, store_issue, take_request
from projects.models import Issue, IssueState, Project, WorkState
from projects.operations import set_work_state
from prompts.errors import NoModelAvailable, PromptError
from workflows.errors import CannotStart
from workflows.operations.runs import start_run, stop_run


@dataclass(frozen=True)
class Request:
    """What came of an asking. Neither a run nor a refusal: it was no new one."""

    run_id: int | None = None
    refusal: str = ""  # for the person who asked: what is wrong and what to do


NOTHING_NEW = Request()
WITHDRAWN = {
    "issue_closed": "The issue was closed, so this run is stopped. Open it again and start a new run if the change is "
    "still wanted.",
    "label_removed": "The label was taken off the issue, so this run is stopped.",
    "issue_gone": "The issue was deleted or moved away, so this run is stopped.",
}


def trigger_of(project: Project) -> str:
    return ProjectLabels.model_validate(project.labels).trigger


@transaction.atomic
def request_run(*, project: Project, told: ForgeIssue, requested_by: str, requested_at: datetime) -> Request:
    """Somebody allowed put the trigger label on the issue: exactly one run comes of it, whoever tells it how often.

    The title and the text that the agent gets are those of `told`. Call inside of `tenant()`.
    """
    issue = store_issue(project=project, told=told)
    if not is_asked_for(issue=issue, trigger=trigger_of(project)):
        return NOTHING_NEW
    if not take_request(issue=issue, requested_by=requested_by, requested_at=requested_at):
        return NOTHING_NEW
    try:
        with transaction.atomic():
            run = start_run(project=project, issue=issue, actor=None, trigger=RunTrigger.LABEL)
    except RunAlreadyLive:
        return NOTHING_NEW
    except (CannotStart, PromptError, NoModelAvailable, BudgetExhausted) as error:
        set_work_state(issue=issue, work_state=WorkState.FAILED)
        return Request(refusal=str(error))
    record_audit_event(
        account_id=project.account_id,
        actor=None,
        actor_name=f"{requested_by} on GitHub",
        action="issue.request",
        object_type="issue",
        object_id=issue.pk,
        data={"number": issue.number, "run_id": run.pk},
    )
    return Request(run_id=run.pk)


@transaction.atomic
def refresh_issue(*, project: Project, told: ForgeIssue) -> None:
    """Take over what changed on the forge, and stop runs that nobody wants any more. Call inside of `tenant()`."""
    issue = store_issue(project=project, told=told)
    if issue.state == IssueState.CLOSED:
        _stop_runs(issue, "issue_closed", tuple(RunTrigger))
    elif trigger_of(project) not in issue.labels:
        # A run that a person started here does not hang on the label.
        _stop_runs(issue, "label_removed", (RunTrigger.LABEL,))


@transaction.atomic
def lose_issue(*, project: Project, number: int) -> None:
    """The issue was deleted or moved away. Call inside of `tenant()`."""
    issue = Issue.objects.select_for_update().filter(project=project, number=number).first()
    if issue is None:
        return
    issue.state = IssueState.CLOSED
    issue.save(update_fields=["state"])
    _stop_runs(issue, "issue_gone", tuple(RunTrigger))


def _stop_runs(issue: Issue, reason: str, triggers: tuple[RunTrigger, ...]) -> None:
    runs = AgentRun.objects.filter(issue=issue, status__in=LIVE_STATUSES, trigger__in=triggers)
    for run in runs.filter(stop_requested_at__isnull=True).select_related("issue").order_by("pk"):
        try:
            stop_run(run=run, actor=None)
        except RunHasEnded:
            continue
        note(run=run, text=WITHDRAWN[reason])
        record_audit_event(
            account_id=run.account_id,
            actor=None,
            action="run.withdrawn",
            object_type="agent_run",
            object_id=run.pk,
            data={"reason": reason, "issue": issue.number},
        )
