"""What is wrong with a project or a host is told on the run, with a code and words, and nothing is left behind."""

from typing import Any

import pytest

from agent_runs.models import TERMINAL_STATUSES, AgentRun, RunStatus
from metrics.models import BudgetReservation
from paid.lib.tenancy import platform, tenant
from projects.models import Project
from tests.agent_runs.processes import pids_with, wait_until
from tests.factories.projects import IssueFactory
from tests.standins.github.server import StandInGithub
from tests.workflows.house import House
from workflows.operations import start_run

pytestmark = pytest.mark.django_db(transaction=True)
END_SECONDS = 120


def ended(project: Project, house: House) -> AgentRun:
    """A run of a new issue, once it has ended."""
    issue = IssueFactory(project=project)
    with tenant(project.account_id):
        run = start_run(project=project, issue=issue, actor=None)

    def read() -> AgentRun:
        with platform():
            return AgentRun.objects.get(pk=run.pk)

    try:
        wait_until(lambda: read().status in TERMINAL_STATUSES, END_SECONDS)
    except AssertionError as error:
        raise AssertionError(house.logs()) from error
    return read()


def assert_nothing_is_left(run: AgentRun, settings: Any) -> None:
    assert (run.run_token_hash, run.cost_usd) == (None, 0)
    assert not (settings.RUNS_DIR / str(run.pk)).exists()
    assert pids_with(f"agent_runs.supervisor {settings.RUNS_DIR / str(run.pk)} ") == []
    with platform():
        assert BudgetReservation.objects.get(agent_run=run).closed_at is not None


def test_a_token_that_github_refuses_is_told_at_once(
    github: StandInGithub, runnable: Project, house: House, settings: Any
):
    github.state.tokens.clear()
    run = ended(runnable, house)
    assert (run.status, run.error_code, run.error) == (
        RunStatus.FAILED,
        "token_refused",
        "GitHub refused the token: it is wrong, expired or revoked. Save a new one under Settings, GitHub tokens. "
        "Then retry the run.",
    )
    assert_nothing_is_left(run, settings)
