"""A question to a model, as a run of its own: so its token, escrow, budgets and ledger are those of every run."""

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from django.db import transaction

from agent_runs.limits import RunLimits
from agent_runs.models import LIVE_STATUSES, AgentRun, RunStatus, RunTrigger, SelectedBy
from agent_runs.notes import note
from agent_runs.operations import (
    advance_run,
    create_run,
    finish_run,
    record_model_selection,
    record_outcome,
    set_identity,
    set_run_token,
)
from metrics.operations import close_escrow, open_escrow
from projects.consultations import open_consultation
from projects.models import Project, WorkState
from projects.operations import set_work_state
from prompts.context import PromptContext, context_for
from prompts.models import PromptCategory, PromptVersion
from prompts.rendering import render_prompt
from prompts.resolution import resolve_prompt
from prompts.selection import select_model
from workflows.operations.fingerprint import fingerprint

# In place of an agent's name: nobody works in a sandbox, Paid itself asks once.
CONSULTATION = "consultation"
# Whose models may be asked: those that speak the gateway's protocol.
ASKED_LIKE = "claude_code"
DONE = "The model has answered."


@dataclass(frozen=True)
class Question:
    """`slug` names the prompt that asks. The project that it is asked for decides which text, and which models may
    read it: nothing goes to a provider that the project excludes.
    """

    title: str
    slug: str
    trigger: RunTrigger
    cap_usd: Decimal
    seconds: int
    asked_for: Project | None = None


@transaction.atomic
def open_question(
    *,
    project: Project,
    question: Question,
    describe: Callable[[PromptContext], PromptContext],
    workflow_id: str,
) -> AgentRun:
    """A run that may spend `cap_usd`, with what will be asked frozen on it. Call it inside of `tenant()`.

    `describe` makes of the context, which speaks of the question itself, what the prompt speaks of. Raises
    PromptError, NoModelAvailable or BudgetExhausted; then nothing has changed.
    """
    scope = question.asked_for or project
    issue = open_consultation(project=project, title=question.title, body="Asked by Paid itself.")
    context = describe(context_for(project=project, issue=issue))
    version, text, system_text = _rendered(scope, question.slug, context, subject=str(issue.pk))
    choice = select_model(account=project.account, project=scope, category=PromptCategory.META, agent=ASKED_LIKE)
    run = create_run(
        project=project,
        issue=issue,
        prompt_version=version,
        prompt_text=text,
        system_prompt_text=system_text,
        ab_variant=None,
        language_model=choice.language_model,
        agent=CONSULTATION,
        limits=RunLimits(turns=1, wall_seconds=question.seconds, cost_usd=question.cap_usd),
        trigger=question.trigger,
        requested_by=None,
        retry_of=None,
    )
    set_identity(run=run, fingerprint=fingerprint(run), workflow_id=workflow_id)
    record_model_selection(
        run=run,
        language_model=choice.language_model,
        selected_by=SelectedBy(choice.selected_by),
        candidates=choice.candidates_as_json(),
        reason=choice.reason,
    )
    open_escrow(run=run, wanted_usd=question.cap_usd)
    for status in (RunStatus.PREPARING, RunStatus.RUNNING):
        advance_run(run=run, to=status)
    return run


@transaction.atomic
def token_for(run: AgentRun) -> str:
    """A new token for the gateway; the one before it opens nothing any more. Raises RunHasEnded."""
    token = secrets.token_urlsafe(32)
    set_run_token(run=run, token=token)
    return token


@transaction.atomic
def end_question(*, run: AgentRun, error_code: str = "", error: str = "", is_stopped: bool = False) -> None:
    """The run's last word, and what is left of its money back to the budgets. Said again it changes nothing.

    An error of a question that somebody stopped is that it was stopped.
    """
    # Before it ends: what the question cost is in its row then.
    close_escrow(run=run)
    run.refresh_from_db()
    if run.status in LIVE_STATUSES:
        if error and (is_stopped or run.stop_requested_at is not None):
            finish_run(run=run, status=RunStatus.STOPPED)
        elif error:
            finish_run(run=run, status=RunStatus.FAILED, error_code=error_code, error=error)
        else:
            record_outcome(run=run, iterations=1, summary=DONE)
            advance_run(run=run, to=RunStatus.PUBLISHING)
            finish_run(run=run, status=RunStatus.COMPLETED)
            set_work_state(issue=run.issue, work_state=WorkState.DONE)
        note(run=run, text=error or DONE)


def _rendered(project: Project, slug: str, context: PromptContext, *, subject: str) -> tuple[PromptVersion, str, str]:
    resolved = resolve_prompt(account_id=project.account_id, project_id=project.pk, slug=slug, subject=subject)
    rendered = render_prompt(template=resolved.template, system_prompt=resolved.system_prompt, context=context)
    version = PromptVersion.objects.select_related("prompt").get(pk=resolved.prompt_version_id)
    return version, rendered.prompt, rendered.system_prompt
