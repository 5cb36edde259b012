"""From a label on GitHub to a pull request on GitHub, with every real part between the two."""

from pathlib import Path
from typing import Any

import pytest
from django.test import Client

import projects.sample
from agent_runs.models import TERMINAL_STATUSES, AgentRun, AgentRunLog, RunStatus
from paid.lib.tenancy import platform
from projects.forges.github.forge import hidden
from projects.models import Project, PullRequest, WebhookDelivery, WorkState
from tests.agent_runs.processes import wait_until
from tests.standins.github import answers
from tests.standins.github.fixtures import TOKEN, WEBHOOK_SECRET
from tests.standins.github.server import StandInGithub, signed
from tests.standins.github.state import Issue, Repository
from tests.workflows.house import House

pytestmark = pytest.mark.django_db(transaction=True)
END_SECONDS = 300
SAMPLE = Path(projects.sample.__file__).parent


@pytest.fixture
def issue(github: StandInGithub, repository: Repository) -> Issue:
    """The sample's repository and issue, on GitHub."""
    files = SAMPLE / "repository"
    texts = {str(path.relative_to(files)): path.read_text() for path in sorted(files.rglob("*")) if path.is_file()}
    github.state.commit(repository, "main", texts)
    title, _, body = (SAMPLE / "issue.md").read_text().partition("\n")
    return github.state.add_issue(repository, title=title, body=body.strip(), author="bob")


def label(github: StandInGithub, project: Project, issue: Issue) -> None:
    github.state.add_label(issue, "paid", actor="alice")
    payload = {
        "action": "labeled",
        "issue": answers.issue(issue),
        "label": {"name": "paid"},
        "sender": answers.person("alice"),
        "repository": {"full_name": "acme/shop"},
    }
    for delivery in ("d-1", "d-1", "d-2"):
        headers, body = signed("issues", payload, secret=WEBHOOK_SECRET, delivery=delivery)
        path = f"/webhooks/github/{project.pk}"
        answer = Client().post(path, body, content_type="application/json", headers=headers, secure=True)
        assert answer.status_code == 202


def until(holds: Any, house: House) -> None:
    try:
        wait_until(holds, END_SECONDS)
    except AssertionError as error:
        raise AssertionError(house.logs()) from error


def the_run(house: House) -> AgentRun:
    """The one run, once it has ended."""
    with platform():
        runs = AgentRun.objects.select_related("issue")

    def has_ended() -> bool:
        with platform():
            return AgentRun.objects.filter(status__in=TERMINAL_STATUSES).exists()

    until(has_ended, house)
    with platform():
        (run,) = list(runs.all())
    return run


def test_a_label_on_github_becomes_one_pull_request_on_github(
    github: StandInGithub, repository: Repository, issue: Issue, house: House, runnable: Project
):
    label(github, runnable, issue)
    run = the_run(house)
    assert (run.status, run.error) == (RunStatus.COMPLETED, ""), house.logs()

    made = repository.pull_requests[2]
    assert (list(repository.pull_requests), made.head, made.base) == ([2], run.branch, "main")
    assert hidden(f"paid-run-{run.pk}") in made.body
    assert made.body.startswith("Closes #1.")
    assert repository.sha(run.branch) == run.head_sha
    assert repository.git("diff", "--name-only", f"main..{run.branch}") == "textkit/slug.py"
    assert [comment["author"] for comment in issue.comments] == ["paid-bot"]
    assert issue.labels == ["paid", "paid: in review"]
    with platform():
        row = PullRequest.objects.get()
        states = list(WebhookDelivery.objects.values_list("claim_state", flat=True))
        lines = "\n".join(AgentRunLog.objects.filter(agent_run_id=run.pk).values_list("content", flat=True))
    assert (row.pk, row.number, row.head_sha, row.issue_id) == (run.pull_request_id, 2, run.head_sha, run.issue_id)
    assert states == ["done", "done"]
    assert run.issue.work_state == WorkState.IN_REVIEW
    assert TOKEN not in lines + house.logs()

    # The schedule that the control worker keeps has polled meanwhile, and found nothing to start.
    def has_polled() -> bool:
        with platform():
            return "polled_at" in Project.objects.get(pk=runnable.pk).poll_state

    until(has_polled, house)
    assert the_run(house).pk == run.pk


def test_answers_that_are_lost_while_publishing_repeat_nothing(
    github: StandInGithub, repository: Repository, issue: Issue, house: House, runnable: Project
):
    github.fail("POST", r"/acme/shop\.git/git-receive-pack", status=502, is_after=True)
    github.fail("POST", "/repos/acme/shop/pulls", is_after=True)
    github.fail("POST", "/repos/acme/shop/issues/1/comments", is_after=True)
    github.fail("POST", "/repos/acme/shop/issues/1/labels", status=429, headers={"retry-after": "2"})
    label(github, runnable, issue)
    run = the_run(house)
    assert (run.status, run.error) == (RunStatus.COMPLETED, ""), house.logs()
    assert [failure.times for failure in github.failures] == [0, 0, 0, 0]
    assert list(repository.pull_requests) == [2]
    assert len(issue.comments) == 1
    assert issue.labels == ["paid", "paid: in review"]
    assert repository.git("rev-list", "--count", f"main..{run.branch}") == "1"
