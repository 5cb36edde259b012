"""How a run's end is told: a code to file it under, what happened, and what to do."""

import pytest

from agent_runs.agents.registry import UnknownAgent
from agent_runs.contracts import AgentResult, ExitRecord
from agent_runs.sandbox import ProgramMissing, SandboxUnavailable
from projects.forges.base import ForgeError
from projects.forges.github.errors import BadToken
from workflows.activities.outcomes import not_startable, outcome_of_agent, refused_by_forge
from workflows.contracts import StepOutcome, Verdict

AT = "2026-11-22T16:00:00.000+00:00"


def ended(reason: str = "finished", detail: str = "") -> ExitRecord:
    return ExitRecord(reason, 1, True, AT, AT, detail)  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("status", "code"),
    [
        (400, "model_refused"), (401, "provider_key_refused"), (403, "model_forbidden"), (404, "model_unknown"),
        (413, "request_too_large"), (429, "model_overloaded"), (500, "model_unreachable"), (502, "model_unreachable"),
        (529, "model_overloaded"), (418, "agent_error"),
    ],
)  # fmt: skip
def test_what_the_provider_answered_has_a_code_and_is_quoted(status: int, code: str):
    said = f"API Error: {status}\nnot_found_error: model: nonesuch."
    outcome = outcome_of_agent(ended(), AgentResult("error", said, 1, 1, api_status=status))
    assert (outcome.verdict, outcome.error_code) == (Verdict.FAILED, code)
    assert f" (“API Error: {status} not_found_error: model: nonesuch”)" in outcome.error


def test_money_that_pays_for_no_call_is_told_apart_from_money_that_is_used_up():
    said = "API Error: 403 0.1000 USD are left, and this call may cost up to 0.5700 USD."
    result = AgentResult("budget", said, 1, 1, api_status=403)
    used_up = outcome_of_agent(ended(), result, has_spent=True)
    assert (used_up.verdict, used_up.error_code) == (Verdict.PAUSED, "budget_exhausted")
    assert outcome_of_agent(ended(), result, has_spent=False) == StepOutcome(
        Verdict.PAUSED,
        "budget_too_small",
        "The money for this run does not pay for a single call to its model (“API Error: 403 0.1000 USD are left, and "
        "this call may cost up to 0.5700 USD”). Grant it more budget, or stop it and choose a cheaper model.",
    )


def test_without_a_sandbox_nothing_runs_and_the_reason_is_told():
    words = "bwrap: No permissions to create a new namespace"
    expected = StepOutcome(
        Verdict.FAILED,
        "sandbox_failed",
        "This host could not make the sandbox (“bwrap: No permissions to create a new namespace”), and Paid runs no "
        "agent without one. Run `manage.py doctor` on the host of the agents' worker and do what it says, then retry "
        "the run.",
    )
    assert not_startable(SandboxUnavailable(words)) == expected
    assert outcome_of_agent(ended("launch_failed", words), AgentResult("error", words, None, 0)) == expected


def test_a_missing_agent_is_named():
    missing = ProgramMissing("Claude Code is missing: install the package claude-agent-sdk.")
    assert not_startable(missing) == StepOutcome(
        Verdict.FAILED,
        "agent_missing",
        "Claude Code is missing: install the package claude-agent-sdk. That is on the host of the agents' worker. Then "
        "retry the run.",
    )
    assert not_startable(UnknownAgent("No adapter for agent 'x'.")).error_code == "agent_unknown"


def test_a_forges_error_with_a_remedy_of_its_own_gets_no_second_one():
    assert refused_by_forge(BadToken(), "Check everything.") == StepOutcome(
        Verdict.FAILED,
        "token_refused",
        "GitHub refused the token: it is wrong, expired or revoked. Save a new one under Settings, GitHub tokens. Then "
        "retry the run.",
    )
    assert refused_by_forge(ForgeError("It said no."), "Check it.") == StepOutcome(
        Verdict.FAILED, "forge_refused", "It said no. Check it."
    )


def test_what_somebody_else_said_is_one_line_and_bounded():
    outcome = outcome_of_agent(ended(), AgentResult("error", "a\0b\n" + "x" * 9_000, 1, 1))
    assert len(outcome.error) < 500
    assert "(“a\ufffdb xxx" in outcome.error
    assert "…”)" in outcome.error
