"""Our copy of what GitHub tells: late, twice or in any order, the newest word stands."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from paid.lib.tenancy import tenant
from projects.forges.base import ForgeIssue, ForgePullRequest
from projects.forges.github.progress import Progress
from projects.mirror import is_asked_for, store_issue, store_progress, take_request
from projects.models import Issue, Project, PullRequest, WorkState
from tests.factories.projects import IssueFactory, ProjectFactory, PullRequestFactory

pytestmark = pytest.mark.django_db
NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
TOLD = ForgeIssue(7, "Title", "Body", "open", ("paid",), "https://x.example/7", "77", "bob", NOON)


@pytest.fixture
def project() -> Project:
    made: Project = ProjectFactory(forge="github", owner="acme", repo="shop")
    return made


def store(project: Project, **changes: Any) -> Issue:
    with tenant(project.account_id):
        return store_issue(project=project, told=replace(TOLD, **changes))


def test_an_issue_is_made_and_refreshed(project: Project):
    first = store(project)
    second = store(project, title="New title", labels=(), updated_at=NOON + timedelta(seconds=1))
    assert (second.pk, second.title, second.labels, second.author) == (first.pk, "New title", [], "bob")


def test_an_older_word_changes_nothing(project: Project):
    store(project)
    kept = store(project, title="Older", state="closed", updated_at=NOON - timedelta(seconds=1))
    assert (kept.title, kept.state, kept.forge_updated_at) == ("Title", "open", NOON)


def test_one_asking_is_taken_once_by_whichever_way_it_comes(project: Project):
    issue = store(project)
    with tenant(project.account_id):
        taken = [
            take_request(issue=issue, requested_by=by, requested_at=at)
            for by, at in [
                ("alice", NOON),
                ("alice", NOON),
                ("alice", NOON + timedelta(seconds=2)),
                ("alice", NOON - timedelta(hours=1)),
                ("carol", NOON + timedelta(seconds=6)),
            ]
        ]
    assert taken == [True, False, False, False, True]
    assert (issue.requested_by, issue.requested_at) == ("carol", NOON + timedelta(seconds=6))


@pytest.mark.parametrize(
    ("state", "labels", "asked"), [("open", ("paid",), True), ("closed", ("paid",), False), ("open", ("bug",), False)]
)
def test_an_open_issue_with_the_label_asks(project: Project, state: Any, labels: tuple[str, ...], asked: bool):
    assert is_asked_for(issue=store(project, state=state, labels=labels), trigger="paid") is asked


def test_a_merged_pull_request_finishes_its_issue_and_keeps_who_merged_it_here(project: Project):
    issue = IssueFactory(project=project, number=7, work_state=WorkState.IN_REVIEW)
    PullRequestFactory(project=project, number=8, issue=issue, merged_by="alice@example.com")
    progress = Progress(ForgePullRequest(8, "", "merged", "c" * 40), NOON, "paid-bot", NOON, "approved", "success")
    store_progress(project=project, progress=progress)
    with tenant(project.account_id):
        row = PullRequest.objects.select_related("issue").get()
    assert row.issue is not None
    assert (row.state, row.merged_by, row.merged_at, row.head_sha) == ("merged", "alice@example.com", NOON, "c" * 40)
    assert (row.review_state, row.checks_state, row.issue.work_state) == ("approved", "success", "done")
