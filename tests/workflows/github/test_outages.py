"""GitHub is away, or has changed, while a run is on its way: what comes of the run and what people read about it.

Each test plays several runs side by side, because a house with its workers takes longer to build than a run.
"""

from pathlib import Path
from typing import Any

import pytest

import projects.sample
from agent_runs.models import AgentRun, RunStatus
from paid.lib.tenancy import platform, tenant
from projects.models import Project
from tests.metrics.conftest import GatewayServer
from tests.standins.github.fixtures import TOKEN
from tests.standins.github.server import StandInGithub
from tests.standins.github.state import Issue, Repository
from tests.workflows.github.asking import begin, detail, ended, is_at, page_and_log, read, until
from tests.workflows.house import House
from workflows.operations import stop_run
from workflows.publication import EDITED

pytestmark = pytest.mark.django_db(transaction=True)
SAMPLE = Path(projects.sample.__file__).parent


@pytest.fixture
def quiet(runnable: Project) -> Project:
    """The poll is another way to hear of a closed issue; here only the run itself looks."""
    with platform():
        Project.objects.filter(pk=runnable.pk).update(poll_interval_seconds=86_400)
    return runnable


@pytest.fixture
def issues(github: StandInGithub, repository: Repository) -> list[Issue]:
    """Several issues over the sample's files, each the sample's own."""
    files = SAMPLE / "repository"
    texts = {str(path.relative_to(files)): path.read_text() for path in sorted(files.rglob("*")) if path.is_file()}
    github.state.commit(repository, "main", texts)
    title, _, body = (SAMPLE / "issue.md").read_text().partition("\n")
    return [github.state.add_issue(repository, title=title, body=body.strip(), author="bob") for _ in range(3)]


def assert_reads(run: AgentRun, code: str, words: str) -> None:
    """The same words on the run's row, on its page and in its log."""
    found = read(run)
    assert (found.status, found.error_code, found.error) == (RunStatus.FAILED, code, words)
    page, log = page_and_log(run)
    assert words in page
    assert f"The run failed ({code}). {words}" in log


def test_a_finished_change_waits_until_github_is_back(
    github: StandInGithub,
    repository: Repository,
    issues: list[Issue],
    house: House,
    quiet: Project,
    gateway: GatewayServer,
):
    # Both agents are still at work when GitHub goes.
    gateway.upstream.model.delay_seconds = 0.03
    waiting, given_up = begin(quiet, issues[0]), begin(quiet, issues[1])
    until(lambda: is_at(waiting, "agent") and is_at(given_up, "agent"), house)
    github.go_away()
    until(lambda: is_at(waiting, "publish", attempt=3) and is_at(given_up, "publish", attempt=2), house)
    until(lambda: detail(waiting, "publish") != "", house)
    words = (
        f"GitHub ({github.url.removeprefix('http://')}) did not answer: ConnectError. The change is done and kept on "
        "its host; Paid goes on trying to publish it for a day. Stop the run to give it up."
    )
    page, log = page_and_log(waiting)
    assert words in page
    assert log.count(words) == 1

    with tenant(given_up.account_id):
        stop_run(run=given_up, actor=None)
    assert (ended(given_up, house).status, read(given_up).run_token_hash) == (RunStatus.STOPPED, None)
    assert read(waiting).status == RunStatus.PUBLISHING

    github.come_back()
    run = ended(waiting, house)
    assert (run.status, run.error) == (RunStatus.COMPLETED, ""), house.logs()
    assert [made.head for made in repository.pull_requests.values()] == [run.branch]
    assert repository.git("rev-list", "--count", f"main..{run.branch}") == "1"
    assert "Pull request #4 is open" in page_and_log(waiting)[1]
    assert repository.sha(read(given_up).branch) is None


def test_what_changed_on_github_while_the_agent_worked_is_told(
    github: StandInGithub,
    repository: Repository,
    issues: list[Issue],
    house: House,
    quiet: Project,
    gateway: GatewayServer,
):
    gateway.upstream.model.delay_seconds = 0.03
    taken, closed, edited = (begin(quiet, issue) for issue in issues)
    until(lambda: all(is_at(run, "agent") for run in (taken, closed, edited)), house)
    github.state.commit(repository, read(taken).branch, {"README.md": "Somebody was here first.\n"})
    first = repository.sha(read(taken).branch)
    issues[1].state = "closed"
    issues[2].body += "\n\nAnd mend the till too."

    ended(taken, house)
    assert_reads(
        taken,
        "branch_taken",
        "The branch exists on GitHub already and is not ours. Rename or delete it there, or retry the run.",
    )
    assert repository.sha(read(taken).branch) == first
    ended(closed, house)
    assert_reads(
        closed,
        "issue_closed",
        "The issue was closed while the agent worked, so nothing was published. The diff is kept here; open the issue "
        "again and retry the run if the change is still wanted.",
    )
    run = ended(edited, house)
    assert (run.status, run.error) == (RunStatus.COMPLETED, ""), house.logs()
    assert all(EDITED in text for text in page_and_log(edited))
    (made,) = repository.pull_requests.values()
    assert EDITED in made.body
    assert "till" not in read(edited).prompt_text


def test_what_keeps_an_agent_from_its_start_is_told(
    github: StandInGithub, repository: Repository, issues: list[Issue], house: House, quiet: Project, tmp_path: Path
):
    # The token is good when the repository is looked at, and dead when git fetches it.
    github.fail("GET", r"/acme/shop\.git/info/refs", status=401)
    refused = begin(quiet, issues[0])
    ended(refused, house)
    assert_reads(
        refused,
        "token_refused",
        "GitHub refused the token: it is wrong, expired or revoked. Save a new one under Settings, GitHub tokens. Then "
        "retry the run.",
    )
    assert TOKEN not in house.logs()

    unknown = begin(quiet, issues[1], model="scripted-404")
    assert ended(unknown, house).error_code == "model_unknown", house.logs()
    assert_reads(unknown, "model_unknown", read(unknown).error)
    assert "The model's provider does not know this model (“" in read(unknown).error

    house.kill_worker("agents")
    house.environment = {**house.environment, **without_claude(tmp_path)}
    house.start_worker("agents")
    missing = begin(quiet, issues[2])
    ended(missing, house)
    assert_reads(
        missing,
        "agent_missing",
        "Claude Code is missing: install the package claude-agent-sdk. That is on the host of the agents' worker. Then "
        "retry the run.",
    )


def test_a_forge_that_is_away_at_the_fetch_is_told(
    github: StandInGithub, issues: list[Issue], house: House, quiet: Project, settings: Any
):
    github.go_away()
    run = begin(quiet, issues[0])
    ended(run, house)
    server = github.url.removeprefix("http://")
    assert_reads(
        run,
        "forge_unavailable",
        f"GitHub ({server}) did not answer: ConnectError. Retry the run when the forge is reachable again.",
    )
    log = page_and_log(run)[1]
    assert log.count(f"GitHub ({server}) did not answer: ConnectError. Paid asks again.") == 1
    assert not (settings.RUNS_DIR / str(run.pk)).exists()


def without_claude(directory: Path) -> dict[str, str]:
    """An environment in which the agent's package is an empty one, and no program of its name is in the path."""
    (directory / "empty" / "claude_agent_sdk").mkdir(parents=True)
    (directory / "empty" / "claude_agent_sdk" / "__init__.py").touch()
    return {"PYTHONPATH": str(directory / "empty"), "PATH": "/usr/bin:/bin"}
