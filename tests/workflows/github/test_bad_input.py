"""What is wrong with a project or a host is told on the run, with a code and words, and nothing is left behind."""

import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agent_runs.models import AgentRun, RunStatus
from metrics.models import BudgetReservation
from paid.lib.tenancy import platform, tenant
from projects.models import Project
from tests.agent_runs.processes import pids_with, wait_until
from tests.factories.projects import IssueFactory
from tests.standins.github.server import StandInGithub
from tests.standins.github.state import Repository
from tests.workflows.house import ROOT, House, has_ended
from workflows.operations import start_run

pytestmark = pytest.mark.django_db(transaction=True)
END_SECONDS = 300
WITHOUT_NAMESPACES = (
    'echo 0 > /proc/sys/user/max_user_namespaces; exec "$0" -u manage.py temporal_worker --queue agents'
)


def ended(project: Project, house: House) -> AgentRun:
    """A run of a new issue, once it has ended."""
    issue = IssueFactory(project=project, number=1)
    with tenant(project.account_id):
        run = start_run(project=project, issue=issue, actor=None)

    def read() -> AgentRun:
        with platform():
            return AgentRun.objects.get(pk=run.pk)

    try:
        wait_until(lambda: has_ended(run.pk), END_SECONDS)
    except AssertionError as error:
        raise AssertionError(house.logs()) from error
    return read()


def assert_nothing_is_left(run: AgentRun, settings: Any) -> None:
    assert run.run_token_hash is None
    assert run.cost_usd == 0
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


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may take namespaces away from a worker")
def test_on_a_host_without_namespaces_a_run_is_refused_and_never_unsealed(
    github: StandInGithub, repository: Repository, runnable: Project, house: House, settings: Any, tmp_path: Path
):
    # The poll looks for it meanwhile: an issue that GitHub does not know stops its run.
    github.state.add_issue(repository, title="Mend it", body="", author="bob")
    house.kill_worker("agents")
    argv = ["unshare", "--user", "--map-root-user", "/bin/sh", "-c", WITHOUT_NAMESPACES, sys.executable]
    with (tmp_path / "logs" / "unsealed.log").open("ab") as log:
        environment = {**os.environ, **house.environment}
        house.running["unsealed"] = subprocess.Popen(
            argv, cwd=ROOT, env=environment, stdout=log, stderr=subprocess.STDOUT, start_new_session=True
        )
    run = ended(runnable, house)
    assert (run.status, run.error_code) == (RunStatus.FAILED, "sandbox_failed"), house.logs()
    assert run.error.startswith("This host could not make the sandbox (“bwrap: Creating new namespace failed")
    assert "Run `manage.py doctor` on the host of the agents' worker" in run.error
    assert_nothing_is_left(run, settings)
