"""`run_agent`: starts the agent or attaches to it, and follows its spool until it has ended."""

import secrets
from dataclasses import dataclass

from django.conf import settings
from django.db import connections
from temporalio import activity
from temporalio.exceptions import ApplicationError

from agent_runs import supervisor
from agent_runs.agents.registry import UnknownAgent
from agent_runs.contracts import AgentJob, AgentResult, ExitRecord
from agent_runs.limits import RunLimits
from agent_runs.models import TERMINAL_STATUSES, AgentRun, RunStatus, StepName, StepStatus
from agent_runs.operations import advance_run, begin_step, end_step, record_outcome, set_run_token
from agent_runs.sandbox import SandboxUnavailable
from agent_runs.sessions import current_session
from metrics.affordable import affordable_output_tokens
from metrics.operations import post_spend
from paid.lib.tenancy import tenant
from workflows.activities.outcomes import ALREADY_ENDED, STOPPED, not_startable, outcome_of_agent, retryable
from workflows.activities.runs import load_run, run_dir_of, workspace_of
from workflows.activities.spool_tail import SpoolTail
from workflows.contracts import RUN_AGENT, RunRef, StepOutcome, Verdict

READ_SECONDS = 0.15
TOKEN_BYTES = 32
# For an agent that takes over from one whose money ran out: it knows nothing of what that one did.
TAKE_OVER = """

# An earlier session

An earlier session worked on this in the same directory and was broken off. What it changed is in the working tree:
look at `git status` and `git diff` first, keep what is right, and go on from there.
"""
_STEP_AFTER = {Verdict.DONE: StepStatus.DONE, Verdict.PAUSED: StepStatus.PAUSED}
# What the agent believes to talk to; every request goes through the bound socket, whatever the host.
BASE_URL = "http://gateway.paid.internal"


@activity.defn(name=RUN_AGENT, no_thread_cancel_exception=True)
def run_agent(ref: RunRef) -> StepOutcome:
    """One agent process per run, however many attempts this activity takes. Hands over when the worker leaves."""
    with tenant(ref.account_id):
        run = load_run(ref)
        if run is None or run.status in TERMINAL_STATUSES:
            return ALREADY_ENDED
        begin_step(run=run, name=StepName.AGENT)
        advance_run(run=run, to=RunStatus.RUNNING)
    run_dir = str(run_dir_of(run.pk))
    if run.stop_requested_at is not None and not _was_launched(run_dir):
        outcome, result = STOPPED, None
    else:
        outcome, result = _launch_and_follow(run, run_dir)
    with tenant(ref.account_id):
        if result is not None:
            turns = current_session(run_dir).turns + result.turns
            record_outcome(run=run, iterations=turns or None, summary=result.text)
        status = _STEP_AFTER.get(outcome.verdict, StepStatus.FAILED)
        end_step(run=run, name=StepName.AGENT, status=status, detail=outcome.error)
    return outcome


def _launch_and_follow(run: AgentRun, run_dir: str) -> tuple[StepOutcome, AgentResult | None]:
    try:
        _launch(run, run_dir)
        exit_record, result = _Follower(run, run_dir).follow()
    except (SandboxUnavailable, UnknownAgent) as error:
        # Nothing was started, and never is without its seal.
        activity.logger.exception("The agent of run %s cannot be started on this host", run.pk)
        return not_startable(error), None
    post_spend(run=run)
    with tenant(run.account_id):
        cost_usd, stop_requested_at = AgentRun.objects.values_list("cost_usd", "stop_requested_at").get(pk=run.pk)
    outcome = outcome_of_agent(exit_record, result, has_spent=cost_usd > 0)
    if stop_requested_at is not None and outcome.verdict != Verdict.DONE:
        # The gateway refuses calls from the moment of the request: an agent that met the refusal before the
        # supervisor's signal ended with an error, but was stopped.
        outcome = STOPPED
    return outcome, result


def _was_launched(run_dir: str) -> bool:
    return supervisor.is_alive(run_dir) or supervisor.read_exit(run_dir) is not None


def _launch(run: AgentRun, run_dir: str) -> None:
    """Mint the token and start the agent; an agent that lives keeps the token that it was given."""
    token = ""
    if not _was_launched(run_dir):
        token = secrets.token_urlsafe(TOKEN_BYTES)
        with tenant(run.account_id):
            set_run_token(run=run, token=token)
    try:
        supervisor.launch(_job(run, run_dir, token))
    except supervisor.SupervisorFailed as error:
        activity.logger.exception("The supervisor of run %s did not start", run.pk)
        raise retryable(
            "supervisor_failed",
            "The agent could not be started on this host. Run `manage.py doctor` there, then retry the run.",
        ) from error


def _job(run: AgentRun, run_dir: str, token: str) -> AgentJob:
    limits = RunLimits.model_validate(run.limits)
    workspace = workspace_of(run)
    is_first = current_session(run_dir).number == 1
    return AgentJob(
        run_id=run.pk,
        agent=run.agent,
        model=run.language_model.model_id,
        prompt=run.prompt_text if is_first else run.prompt_text + TAKE_OVER,
        system_prompt=run.system_prompt_text or None,
        workspace=workspace.path,
        run_dir=run_dir,
        gateway_socket=str(settings.GATEWAY_SOCKET),
        run_token=token,
        base_url=BASE_URL,
        max_turns=limits.turns,
        wall_seconds=limits.wall_seconds,
        stall_seconds=limits.stall_seconds,
        max_output_tokens=affordable_output_tokens(run=run),
        read_only=workspace.read_only,
    )


@dataclass
class _Follower:
    """Tails the spool of one run, and carries a stop request to the supervisor."""

    run: AgentRun
    run_dir: str
    has_asked_to_stop: bool = False

    def follow(self) -> tuple[ExitRecord, AgentResult]:
        tail = SpoolTail(self.run, self.run_dir)
        while True:
            exit_record = supervisor.read_exit(self.run_dir)
            tail.read()
            activity.heartbeat(tail.offset)
            if exit_record is not None:
                # Everything was printed before the exit was recorded: one more read has it all.
                tail.read_to_end()
                return exit_record, tail.adapter.result(exit_record)
            self._pass_on_stop()
            if not supervisor.is_alive(self.run_dir) and supervisor.read_exit(self.run_dir) is None:
                supervisor.launch(_job(self.run, self.run_dir, ""))  # records that the agent was lost
            self._leave_if_superseded()
            # An agent works for minutes, and a worker may serve more of them than its pool has connections.
            connections.close_all()
            activity.wait_for_worker_shutdown_sync(READ_SECONDS)

    def _pass_on_stop(self) -> None:
        if self.has_asked_to_stop:
            return
        details = activity.cancellation_details()
        if (details is not None and details.cancel_requested) or self._is_stop_requested():
            supervisor.request_stop(self.run_dir, "Stopped on request.")
            self.has_asked_to_stop = True

    def _is_stop_requested(self) -> bool:
        """Also for a run that has ended, or is gone: nobody pays for its agent any more."""
        with tenant(self.run.account_id):
            row = AgentRun.objects.filter(pk=self.run.pk).values_list("stop_requested_at", "status").first()
        return row is None or row[0] is not None or row[1] in TERMINAL_STATUSES

    def _leave_if_superseded(self) -> None:
        """The agent goes on; the next attempt, on this host, attaches to it."""
        details = activity.cancellation_details()
        is_superseded = details is not None and (details.not_found or details.timed_out)
        if activity.is_worker_shutdown() or is_superseded:
            raise ApplicationError("The worker leaves; the agent goes on.", type="WorkerLeaves")
