"""How the steps of a run end, in words for people: what happened, and what to do."""

from collections.abc import Sequence
from datetime import timedelta

from temporalio.exceptions import ApplicationError

from agent_runs.contracts import AgentResult, ExitReason, Finding, Outcome
from projects.forges.base import ForgeError, RateLimited
from workflows.contracts import StepOutcome, Verdict

DONE = StepOutcome()
STOPPED = StepOutcome(Verdict.STOPPED, "stopped", "The run was stopped on request.")
ALREADY_ENDED = StepOutcome(Verdict.STOPPED, "already_ended", "The run had ended before.")

_AGENT_WORDS: dict[Outcome, tuple[str, str]] = {
    "error": (
        "agent_error",
        "The agent ended with an error. Its last words are in the log; retry the run, or try another model.",
    ),
    "timeout": (
        "agent_timeout",
        "The agent was still working when the time for this run was over. Raise the project's time limit or split "
        "the issue, then retry.",
    ),
    "stalled": (
        "agent_stalled",
        "The agent fell silent and was ended. The model may be overloaded: retry the run.",
    ),
    "budget": (
        "budget_exhausted",
        "The money for this run is used up. Raise the budget of the project or of the run, then retry.",
    ),
}

# What the process tells before anything that the agent said counts.
_EXIT_WORDS: dict[ExitReason, tuple[str, str]] = {
    "launch_failed": (
        "sandbox_failed",
        "The agent could not be started in its sandbox on this host. Run `manage.py doctor` there, then retry the run.",
    ),
    "lost": (
        "agent_lost",
        "The agent ended together with its host (a restart, or memory that ran out). Retry the run.",
    ),
    "disk_full": (
        "disk_full",
        "The disk of the agent's host is full, so the agent was ended. Make room there (PAID_RUNS_DIR), then retry "
        "the run.",
    ),
    "limit": (
        "agent_limit",
        "The agent used more processes or memory than a run may, and was ended. Say in the issue how to do with less, "
        "then retry.",
    ),
}


def failed(code: str, words: str) -> StepOutcome:
    return StepOutcome(Verdict.FAILED, code, words)


def refused_by_forge(error: ForgeError, remedy: str) -> StepOutcome:
    """An error with a code of its own says what to do itself."""
    words = remedy if error.code == ForgeError.code else "Then retry the run."
    return failed(error.code, f"{error} {words}")


def retryable(code: str, words: str, cause: Exception | None = None) -> ApplicationError:
    """An error that may heal. When the last attempt fails with it, the run fails with these words.

    A forge that asked us to wait is not asked before that.
    """
    wait = timedelta(seconds=cause.retry_after_seconds) if isinstance(cause, RateLimited) else None
    return ApplicationError(words, code, words, type="StepFailed", next_retry_delay=wait)


def outcome_of_agent(reason: ExitReason, result: AgentResult) -> StepOutcome:
    if reason in _EXIT_WORDS:
        return failed(*_EXIT_WORDS[reason])
    if result.outcome == "success":
        return DONE
    if result.outcome == "stopped":
        return STOPPED
    return failed(*_AGENT_WORDS[result.outcome])


def outcome_of_findings(findings: Sequence[Finding]) -> StepOutcome:
    """Why the change is not published."""
    places = ", ".join(f"{finding.path}:{finding.line}" if finding.line else finding.path for finding in findings[:5])
    if any(finding.kind == "secret" for finding in findings):
        return failed(
            "secret_found",
            f"The change contains what looks like a secret ({places}), so it was not published. Look at the diff; "
            "if the secret is real, revoke it, then retry the run.",
        )
    if any(finding.kind == "unsearched" for finding in findings):
        return failed(
            "change_too_large",
            "The change is too large to be searched for secrets, so it was not published. Split the issue, then retry "
            "the run.",
        )
    return failed(
        "change_refused",
        f"The change touches files that agents may not change ({places}), so it was not published. Look at the diff, "
        "make that part by hand or reword the issue, then retry the run.",
    )
