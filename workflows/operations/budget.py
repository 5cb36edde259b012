"""What a person decides about the money of a run that lives: more of it, or to go on with what there is."""

from decimal import Decimal

from django.db import transaction

from accounts.models import User
from accounts.operations import record_audit_event
from agent_runs.errors import RunHasEnded
from agent_runs.limits import RunLimits
from agent_runs.models import LIVE_STATUSES, AgentRun, RunStatus
from agent_runs.operations import unpause_run
from metrics.operations import extend_escrow, reopen_escrow
from workflows.contracts import RESUME_SIGNAL
from workflows.operations.runs import command_run


@transaction.atomic
def grant_budget(*, run: AgentRun, amount_usd: Decimal, actor: User) -> Decimal:
    """Let a live run spend so much beyond its own limit; one that waits for money goes on. Gives what it got.

    That is less where hard budgets have less. Raises BudgetExhausted when they have nothing, RunHasEnded,
    RunIsNotPaused; then nothing has changed.
    """
    run = _locked(run)
    if run.status == RunStatus.PAUSED:
        got = _go_on(run, more_usd=amount_usd)
    elif run.status in LIVE_STATUSES:
        got = extend_escrow(run=run, wanted_usd=amount_usd)
    else:
        raise RunHasEnded
    _audit(run, "run.grant", actor, amount_usd=str(amount_usd), got_usd=str(got))
    return got


@transaction.atomic
def resume_run(*, run: AgentRun, actor: User | None) -> Decimal:
    """Let a paused run go on with what is left of its own limit and its budgets; gives how much that is.

    Raises RunIsNotPaused, OwnLimitReached or BudgetExhausted; then nothing has changed.
    """
    run = _locked(run)
    got = _go_on(run, more_usd=Decimal(0))
    _audit(run, "run.resume", actor, got_usd=str(got))
    return got


def _go_on(run: AgentRun, *, more_usd: Decimal) -> Decimal:
    unpause_run(run=run)
    limit_usd = RunLimits.model_validate(run.limits).cost_usd
    got = reopen_escrow(run=run, limit_usd=limit_usd, more_usd=more_usd)
    # A pause whose seven days end at this very moment may win: the run then ends as it would have.
    command_run(run, RESUME_SIGNAL, pause=run.pauses)
    return got


def _locked(run: AgentRun) -> AgentRun:
    """Two decisions at once are one after the other; calls of the gateway go on."""
    return AgentRun.objects.select_for_update(no_key=True, of=("self",)).select_related("issue").get(pk=run.pk)


def _audit(run: AgentRun, action: str, actor: User | None, **data: str) -> None:
    record_audit_event(
        account_id=run.account_id,
        actor=actor,
        action=action,
        object_type="agent_run",
        object_id=run.pk,
        data={"pause": run.pauses, **data},
    )
