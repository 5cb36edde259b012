"""A run that is out of money: it waits for a person, holds nothing meanwhile, and goes on with a new agent."""

from temporalio import activity

from accounts.operations import record_audit_event
from agent_runs.limits import RunLimits
from agent_runs.logs import last_seq
from agent_runs.models import TERMINAL_STATUSES
from agent_runs.notes import note
from agent_runs.operations import pause_run
from agent_runs.sessions import begin_session
from metrics.alerts import alert_of_pause
from metrics.operations import close_escrow
from paid.lib.tenancy import tenant
from workflows.activities.attempts import alone_in
from workflows.activities.outcomes import ALREADY_ENDED, DONE, STOPPED
from workflows.activities.runs import load_run, run_dir_of
from workflows.contracts import BEGIN_SESSION, PAUSE_RUN, Pause, RunRef, StepOutcome


@activity.defn(name=PAUSE_RUN, no_thread_cancel_exception=True)
def pause_run_activity(pause: Pause) -> StepOutcome:
    """Pause the run and give its money back, in one transaction; a second attempt finds it done, or resumed."""
    with tenant(pause.run.account_id):
        run = load_run(pause.run)
        if run is None or run.status in TERMINAL_STATUSES:
            return ALREADY_ENDED
        if run.stop_requested_at is not None:
            return STOPPED
        if pause_run(run=run, number=pause.number):
            close_escrow(run=run)
            run.refresh_from_db(fields=["cost_usd"])
            alert_of_pause(run=run, limit_usd=RunLimits.model_validate(run.limits).cost_usd)
            record_audit_event(
                account_id=run.account_id,
                actor=None,
                action="run.pause",
                object_type="agent_run",
                object_id=run.pk,
                data={"pause": pause.number, "reason": pause.outcome.error_code, "cost_usd": str(run.cost_usd)},
            )
            note(run=run, text=f"The run is paused ({pause.outcome.error_code}). {pause.outcome.error}")
    return DONE


@activity.defn(name=BEGIN_SESSION, no_thread_cancel_exception=True)
def begin_session_activity(ref: RunRef) -> StepOutcome:
    """Make the host ready for the run's next agent."""
    with tenant(ref.account_id):
        run = load_run(ref)
        if run is None or run.status in TERMINAL_STATUSES:
            return ALREADY_ENDED
        lines = last_seq(run)
    run_dir = run_dir_of(ref.run_id)
    with alone_in(run_dir):
        session = begin_session(str(run_dir), lines=lines, turns=run.iterations)
    with tenant(ref.account_id):
        note(run=run, text=f"The run goes on: session {session.number} of its agent, over the files as they were left.")
    return DONE
