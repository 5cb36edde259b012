"""What a person may do about a run that failed: where to, by the code that it is filed under."""

from collections.abc import Sequence
from dataclasses import dataclass

from django.urls import reverse

from agent_runs.models import AgentRun, RunStep, StepName, StepStatus

_HEADLINES = {
    StepName.QUEUE: "This run failed before it began",
    StepName.WORKSPACE: "The files for this run could not be made ready",
    StepName.AGENT: "The agent did not get to its end",
    StepName.PUBLISH: "The change was not published",
}
_BUDGET = frozenset({"budget", "budget_exhausted", "budget_too_small"})
_TOKEN = frozenset({"token_refused", "token_missing", "permission_missing"})
_KEY = frozenset({"provider_key_refused", "model_forbidden"})
_PROJECT = frozenset(
    {
        "repository_empty", "repository_too_large", "repository_archived", "repository_moved", "not_found_on_forge",
        "branch_missing",
    }
)  # fmt: skip
_ISSUE = frozenset({"issue_closed", "no_changes", "agent_limit", "nested_repository", "request_too_large"})
# Nothing on Paid's pages mends these: somebody must look at the host.
_HOST = frozenset({"sandbox_failed", "agent_missing", "supervisor_failed", "step_timeout"})


@dataclass(frozen=True)
class Remedy:
    label: str
    icon: str
    address: str


@dataclass(frozen=True)
class Failure:
    """`command` is what the host's operator runs; empty where nobody need go there."""

    headline: str
    remedies: tuple[Remedy, ...]
    command: str = ""


def failure_of(run: AgentRun, steps: Sequence[RunStep], slug: str, *, has_diff: bool, has_log: bool) -> Failure | None:
    """None for a run that did not fail."""
    if not run.error:
        return None
    failed = next((step.name for step in steps if step.status == StepStatus.FAILED), "")
    headline = "This run failed"
    if failed in _HEADLINES:
        headline = _HEADLINES[StepName(failed)]
    remedies = [*_by_code(run, slug)]
    if has_diff:
        remedies.append(Remedy("Look at the diff", "file-diff", "#run-diff"))
    if has_log:
        remedies.append(Remedy("Look at the log", "terminal-2", "#log"))
    return Failure(headline, tuple(remedies), "manage.py doctor" if run.error_code in _HOST else "")


def _by_code(run: AgentRun, slug: str) -> list[Remedy]:
    code = run.error_code
    if code in _BUDGET:
        return [Remedy("Raise the budget", "coin", reverse("settings_budgets", args=[slug]))]
    if code in _TOKEN:
        return [Remedy("GitHub tokens", "key", reverse("settings_github", args=[slug]))]
    if code in _KEY:
        return [Remedy("Provider keys", "key", reverse("settings_keys", args=[slug]))]
    if code in _PROJECT:
        return [Remedy("Open the project", "folder", reverse("project", args=[slug, run.project_id]))]
    if code in _ISSUE:
        return [Remedy("Open the issue", "circle-dot", reverse("issue", args=[slug, run.project_id, run.issue.number]))]
    return []
