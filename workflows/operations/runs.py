"""Start, stop and retry a run: what crosses prompts, models, budgets, runs and the outbox, in one transaction."""

from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from accounts.models import User
from accounts.operations import record_audit_event
from agent_runs.errors import RunIsStillLive
from agent_runs.limits import RunLimits
from agent_runs.models import LIVE_STATUSES, AgentRun, RunTrigger, SelectedBy, StepName
from agent_runs.operations import (
    begin_step,
    create_run,
    open_model_question,
    record_model_selection,
    request_stop,
    set_identity,
)
from metrics.operations import open_escrow
from paid.lib import outbox
from projects.models import Issue, IssueState, Project
from prompts.context import context_for
from prompts.models import AbVariant, LanguageModel, PromptVersion
from prompts.querysets import style_guide_for
from prompts.rendering import render_prompt
from prompts.resolution import resolve_prompt
from prompts.selection import select_model
from workflows.contracts import (
    CONTROL_QUEUE,
    ISSUE_WORKFLOW,
    START_SIGNAL,
    STOP_SIGNAL,
    issue_workflow_id,
    run_workflow_id,
)
from workflows.errors import IssueIsClosed, ProjectIsSwitchedOff
from workflows.operations.fingerprint import fingerprint
from workflows.operations.model_choice import price_of_asking

CODING_PROMPT = "coding.implement_issue"
DEFAULT_AGENT = "claude_code"


@transaction.atomic
def start_run(
    *,
    project: Project,
    issue: Issue,
    actor: User | None,
    trigger: RunTrigger = RunTrigger.PERSON,
    model: LanguageModel | None = None,
    agent: str = DEFAULT_AGENT,
    retry_of: AgentRun | None = None,
    actor_name: str = "",
) -> AgentRun:
    """Decide everything about a run, freeze it on the row, and command its workflow. Call inside of `tenant()`.

    `actor_name` is for a program that acts by a token. Raises CannotStart, RunAlreadyLive, PromptError,
    NoModelAvailable or BudgetExhausted; then nothing has changed.
    """
    if not project.is_active:
        raise ProjectIsSwitchedOff
    if issue.state != IssueState.OPEN:
        raise IssueIsClosed
    run, cap_usd = _create(project, issue, actor, trigger, model, agent, retry_of)
    limits = RunLimits.model_validate(run.limits)
    open_escrow(run=run, wanted_usd=limits.cost_usd)
    begin_step(run=run, name=StepName.QUEUE)
    record_audit_event(
        account_id=run.account_id,
        actor=actor,
        actor_name=actor_name,
        action="run.start",
        object_type="agent_run",
        object_id=run.pk,
        data={"issue": issue.number, "trigger": trigger, "retry_of": retry_of.pk if retry_of else None},
    )
    if cap_usd is not None:
        open_model_question(run=run, cap_usd=cap_usd)
    command_run(run, START_SIGNAL, **({} if cap_usd is None else {"asks_for_model": True}))
    return run


@transaction.atomic
def stop_run(*, run: AgentRun, actor: User | None, actor_name: str = "") -> None:
    """Ask a run to stop; the agent is gone within seconds. Asking twice is asking once. Raises RunHasEnded."""
    if not request_stop(run=run, actor=actor):
        return
    record_audit_event(
        account_id=run.account_id,
        actor=actor,
        actor_name=actor_name,
        action="run.stop",
        object_type="agent_run",
        object_id=run.pk,
    )
    command_run(run, STOP_SIGNAL)


@transaction.atomic
def retry_run(*, run: AgentRun, actor: User | None) -> AgentRun:
    """Start a new run like one that has ended, with today's prompt. Raises what `start_run` raises, RunIsStillLive."""
    if run.status in LIVE_STATUSES:
        raise RunIsStillLive
    was_override = run.model_selection.selected_by == SelectedBy.OVERRIDE
    return start_run(
        project=run.project,
        issue=run.issue,
        actor=actor,
        trigger=RunTrigger(run.trigger),
        model=run.language_model if was_override else None,
        agent=run.agent,
        retry_of=run,
    )


def command_run(run: AgentRun, signal: str, **more: int | bool) -> None:
    """Signal the run's issue, once for the same signal and `more`, which is added to the payload."""
    once = "".join(f"-{value}" for value in more.values())
    outbox.command(
        account_id=run.account_id,
        workflow_type=ISSUE_WORKFLOW,
        workflow_id=issue_workflow_id(run.project_id, run.issue.number),
        task_queue=CONTROL_QUEUE,
        signal=signal,
        payload={"account_id": run.account_id, "run_id": run.pk, **more},
        dedupe_key=f"run-{run.pk}-{signal}{once}",
    )


@dataclass(frozen=True)
class _Prompt:
    version: PromptVersion
    variant: AbVariant | None
    text: str
    system_text: str


def _prompt_for(project: Project, issue: Issue) -> _Prompt:
    resolved = resolve_prompt(
        account_id=project.account_id, project_id=project.pk, slug=CODING_PROMPT, subject=str(issue.pk)
    )
    rendered = render_prompt(
        template=resolved.template,
        system_prompt=resolved.system_prompt,
        context=context_for(project=project, issue=issue, style_guide=style_guide_for(project)),
    )
    return _Prompt(
        version=PromptVersion.objects.select_related("prompt").get(pk=resolved.prompt_version_id),
        variant=None if resolved.ab_variant_id is None else AbVariant.objects.get(pk=resolved.ab_variant_id),
        text=rendered.prompt,
        system_text=rendered.system_prompt,
    )


def _create(
    project: Project,
    issue: Issue,
    actor: User | None,
    trigger: RunTrigger,
    model: LanguageModel | None,
    agent: str,
    retry_of: AgentRun | None,
) -> tuple[AgentRun, Decimal | None]:
    """The run, and what asking for another model may cost; None where nobody is asked."""
    prompt = _prompt_for(project, issue)
    choice = select_model(
        account=project.account,
        project=project,
        category=prompt.version.prompt.category,
        override=model,
        agent=agent,
    )
    run = create_run(
        project=project,
        issue=issue,
        prompt_version=prompt.version,
        prompt_text=prompt.text,
        system_prompt_text=prompt.system_text,
        ab_variant=prompt.variant,
        language_model=choice.language_model,
        agent=agent,
        limits=RunLimits.model_validate(project.settings.get("limits", {})),
        trigger=trigger,
        requested_by=actor,
        retry_of=retry_of,
    )
    set_identity(run=run, fingerprint=fingerprint(run), workflow_id=run_workflow_id(run.pk))
    record_model_selection(
        run=run,
        language_model=choice.language_model,
        selected_by=SelectedBy(choice.selected_by),
        candidates=choice.candidates_as_json(),
        reason=choice.reason,
    )
    return run, price_of_asking(project, choice)
