"""How the steps of a run end, in words for people: what happened, and what to do."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import timedelta
from http import HTTPStatus

from temporalio.exceptions import ApplicationError

from agent_runs.agents.registry import UnknownAgent
from agent_runs.contracts import AgentResult, ExitReason, ExitRecord, Finding, Outcome
from agent_runs.logs import storable
from agent_runs.sandbox import ProgramMissing, SandboxUnavailable
from projects.forges.base import ForgeError, RateLimited
from workflows.contracts import StepOutcome, Verdict

DONE = StepOutcome()
STOPPED = StepOutcome(Verdict.STOPPED, "stopped", "The run was stopped on request.")
ALREADY_ENDED = StepOutcome(Verdict.STOPPED, "already_ended", "The run had ended before.")

_AGENT_WORDS: dict[Outcome, tuple[str, str]] = {
    "error": (
        "agent_error",
        "The agent ended with an error{quoted}. Its last words are in the log; retry the run, or try another model.",
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
}
# The run waits with these words for a person to decide.
_MONEY_OUT = (
    "budget_exhausted",
    "The money for this run is used up{quoted}. Grant it more budget, or resume it when its budgets have room again.",
)
_TOO_POOR = (
    "budget_too_small",
    "The money for this run does not pay for a single call to its model{quoted}. Grant it more budget, or stop it and "
    "choose a cheaper model.",
)

# What the model's own server answered, by HTTP status.
_MODEL_WORDS: dict[int, tuple[str, str]] = {
    400: ("model_refused", "The model's provider refused the request{quoted}. Try another model, or a shorter issue."),
    401: ("provider_key_refused", "The model's provider refuses the key{quoted}. Replace it in Settings, then retry."),
    403: (
        "model_forbidden",
        "The call to the model was forbidden{quoted}. Mend what it names in Settings, then retry the run.",
    ),
    404: (
        "model_unknown",
        "The model's provider does not know this model{quoted}. Choose another model for the project, or correct its "
        "name in the registry, then retry.",
    ),
    413: (
        "request_too_large",
        "The agent sent more than the model takes{quoted}. Split the issue, then retry the run.",
    ),
    429: ("model_overloaded", "The model's provider takes no more calls for now{quoted}. Retry the run later."),
    529: ("model_overloaded", "The model is overloaded{quoted}. Retry the run later, or choose another model."),
}
_MODEL_AWAY = (
    "model_unreachable",
    "The model's provider failed{quoted}. Retry the run later, or choose another model.",
)
_QUOTED_CHARACTERS = 300

# What the process tells before anything that the agent said counts.
_EXIT_WORDS: dict[ExitReason, tuple[str, str]] = {
    "launch_failed": (
        "sandbox_failed",
        "This host could not make the sandbox{quoted}, and Paid runs no agent without one. Run `manage.py doctor` on "
        "the host of the agents' worker and do what it says, then retry the run.",
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


def retryable(code: str, words: str, cause: Exception | None = None, *, is_last: bool = False) -> ApplicationError:
    """An error that may heal. When the last attempt fails with it, the run fails with these words.

    A forge that asked us to wait is not asked before that. `is_last`: no further attempt is worth it.
    """
    wait = timedelta(seconds=cause.retry_after_seconds) if isinstance(cause, RateLimited) else None
    return ApplicationError(words, code, words, type="StepFailed", next_retry_delay=wait, non_retryable=is_last)


def not_startable(error: SandboxUnavailable | UnknownAgent) -> StepOutcome:
    """Why this host starts no agent: nothing has run, and nothing will until somebody mends it."""
    if isinstance(error, ProgramMissing):
        return failed("agent_missing", f"{error} That is on the host of the agents' worker. Then retry the run.")
    if isinstance(error, UnknownAgent):
        return failed("agent_unknown", f"{error} Choose it for the project, then start a new run.")
    return _in_words(_EXIT_WORDS["launch_failed"], str(error))


def outcome_of_agent(exit_record: ExitRecord, result: AgentResult, *, has_spent: bool = True) -> StepOutcome:
    if exit_record.reason in _EXIT_WORDS:
        return _in_words(_EXIT_WORDS[exit_record.reason], exit_record.detail)
    if result.outcome == "success":
        return DONE
    if result.outcome == "stopped":
        return STOPPED
    if result.outcome == "budget":
        return replace(_in_words(_MONEY_OUT if has_spent else _TOO_POOR, result.text), verdict=Verdict.PAUSED)
    if result.outcome == "error" and result.api_status is not None:
        away = _MODEL_AWAY if result.api_status >= HTTPStatus.INTERNAL_SERVER_ERROR else _AGENT_WORDS["error"]
        return _in_words(_MODEL_WORDS.get(result.api_status, away), result.text)
    return _in_words(_AGENT_WORDS[result.outcome], result.text)


def _in_words(known: tuple[str, str], said: str) -> StepOutcome:
    """`said` is quoted in one line, as what it is: somebody else's words."""
    code, words = known
    line = " ".join(storable(said).split()).rstrip(".")
    shown = line if len(line) <= _QUOTED_CHARACTERS else f"{line[:_QUOTED_CHARACTERS]}…"
    return failed(code, words.replace("{quoted}", f" (“{shown}”)" if shown else ""))


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
