"""What the project's own tests and linter say of a commit, before a person is asked to read it."""

from django.db import connections
from temporalio import activity
from temporalio.exceptions import ApplicationError

from agent_runs import workspace
from agent_runs.contracts import Workspace
from agent_runs.models import TERMINAL_STATUSES, AgentRun
from agent_runs.notes import note
from agent_runs.sandbox import SandboxUnavailable
from agent_runs.supervisor import SupervisorFailed
from agent_runs.workspace import Check
from metrics.models import QualityMetric
from metrics.quality.operations import begin_quality, record_checks
from paid.lib.git import GitFailed
from paid.lib.tenancy import tenant
from projects.settings_shape import ProjectSettings

TESTS, LINT = "tests", "lint"


def check_commit_of(run: AgentRun, place: Workspace, head_sha: str) -> list[Check]:
    """Runs the commands that the project names, once for each run, and keeps what they said as its quality.

    They stop nothing: a person reads the result in the pull request. Neither does a command that cannot be run.
    """
    settings = ProjectSettings.model_validate(run.project.settings)
    commands = {TESTS: settings.test_command.strip(), LINT: settings.lint_command.strip()}
    checks = [
        _check(run, place, head_sha, name, command, settings.check_seconds)
        for name, command in commands.items()
        if command
    ]
    if checks:
        _keep(run, checks)
    return checks


def _check(run: AgentRun, place: Workspace, head_sha: str, name: str, command: str, seconds: int) -> Check:
    try:
        return workspace.check_commit(
            place,
            head_sha=head_sha,
            name=name,
            command=command,
            wall_seconds=seconds,
            is_stopped=lambda: is_given_up(run),
            wait=_wait,
        )
    except (GitFailed, SupervisorFailed, SandboxUnavailable) as error:
        return Check(name, command, None, f"It could not be run: {error}")


def _wait(seconds: float) -> None:
    """The command goes on without us: the next attempt, on this host, attaches to it."""
    if activity.is_worker_shutdown() or activity.is_cancelled():
        raise ApplicationError("The worker leaves; the check goes on.", type="WorkerLeaves")
    # A check works for minutes, and a worker may serve more of them than its pool has connections.
    connections.close_all()
    activity.wait_for_worker_shutdown_sync(seconds)


def is_given_up(run: AgentRun) -> bool:
    with tenant(run.account_id):
        row = AgentRun.objects.filter(pk=run.pk).values_list("stop_requested_at", "status").first()
    return row is None or row[0] is not None or row[1] in TERMINAL_STATUSES


def _keep(run: AgentRun, checks: list[Check]) -> None:
    """Said once, however often the publication is tried: the row knows whether it was."""
    said = {check.name: check.is_passing for check in checks}
    with tenant(run.account_id):
        row = QualityMetric.objects.filter(agent_run=run).values("has_passing_tests", "has_clean_lint").first()
        is_known = row == {"has_passing_tests": said.get(TESTS), "has_clean_lint": said.get(LINT)}
        begin_quality(run=run)
        record_checks(run=run, has_passing_tests=said.get(TESTS), has_clean_lint=said.get(LINT))
        for check in [] if is_known else checks:
            note(run=run, text=f"{in_words(check)}\n{check.words}".rstrip())


def in_words(check: Check) -> str:
    """One line for the log and the pull request."""
    result = {True: "passes", False: "fails", None: "gave no result"}[check.is_passing]
    return f"{check.name.capitalize()}: `{check.command}` {result} on a clean copy of the commit."
