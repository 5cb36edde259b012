"""GitHub through the Forge protocol, against the stand-in."""

from datetime import UTC, datetime
from typing import Any

import pytest

from accounts.models import GithubToken
from paid.lib.encryption import Secret
from paid.lib.tenancy import tenant
from projects.forges.base import ForgeUnavailable, MergeConflict, NotFoundOnForge, RateLimited
from projects.forges.github import GithubForge
from projects.forges.github.client import GithubClient
from projects.forges.github.errors import (
    BadToken,
    BaseBranchMissing,
    MissingPermission,
    NothingToPropose,
    NoToken,
    RepositoryArchived,
    RepositoryEmpty,
    RepositoryTooBig,
)
from projects.forges.github.forge import hidden
from projects.models import Project, PullRequest
from tests.standins.github import state
from tests.standins.github.fixtures import TOKEN
from tests.standins.github.server import StandInGithub
from tests.standins.github.state import Repository

pytestmark = pytest.mark.django_db
forge = GithubForge()
SHA = "0" * 40


def propose(project: Project, branch: str = "paid/1-fix-7") -> Any:
    return forge.find_or_create_pull_request(
        project, branch=branch, head_sha=SHA, title="Fix the till", body="Closes #1.", marker="run-7"
    )


@pytest.fixture
def branch(github: StandInGithub, repository: Repository) -> str:
    repository.git("branch", "paid/1-fix-7", "main")
    github.state.commit(repository, "paid/1-fix-7", {"README.md": "A better shop.\n"})
    return "paid/1-fix-7"


def test_it_reads_an_issue(github: StandInGithub, repository: Repository, project: Project):
    issue = github.state.add_issue(repository, title="The till is wrong", body="It adds\0 twice.", author="bob")
    github.state.add_label(issue, "paid", actor="alice")
    found = forge.fetch_issue(project, issue.number)
    assert (found.number, found.title, found.body) == (1, "The till is wrong", "It adds\ufffd twice.")
    assert (found.author, found.state, found.labels, found.forge_id) == ("bob", "open", ("paid",), "10001")
    assert found.updated_at == issue.updated_at


def test_an_issue_that_is_not_there_is_not_found(project: Project):
    with pytest.raises(NotFoundOnForge):
        forge.fetch_issue(project, 99)


def test_it_lists_labelled_issues_by_change_over_several_pages(
    github: StandInGithub, repository: Repository, project: Project
):
    for number in range(1, 206):
        issue = github.state.add_issue(repository, title=f"Issue {number}")
        github.state.add_label(issue, "paid", actor="alice")
    github.state.add_issue(repository, title="Without the label")
    listing = forge.list_issues(project, label="paid", since=None)
    assert [issue.number for issue in listing.issues] == list(range(1, 206))
    assert len(github.requests("GET", "/repos/acme/shop/issues")) == 3


def test_the_same_question_twice_is_answered_unchanged_and_costs_nothing(
    github: StandInGithub, repository: Repository, project: Project
):
    issue = github.state.add_issue(repository, title="One")
    github.state.add_label(issue, "paid", actor="alice")
    first = forge.list_issues(project, label="paid", since=issue.updated_at)
    left = github.rate_remaining
    second = forge.list_issues(project, label="paid", since=issue.updated_at, etag=first.etag)
    assert (second.is_unchanged, second.issues, second.etag) == (True, (), first.etag)
    assert github.rate_remaining == left


def test_only_issues_that_changed_since_are_listed(github: StandInGithub, repository: Repository, project: Project):
    old = github.state.add_issue(repository, title="Old")
    github.state.add_label(old, "paid", actor="alice")
    new = github.state.add_issue(repository, title="New")
    github.state.add_label(new, "paid", actor="alice")
    listing = forge.list_issues(project, label="paid", since=new.updated_at)
    assert [issue.title for issue in listing.issues] == ["New"]


def test_a_pull_request_is_opened_once_however_often_it_is_asked_for(
    github: StandInGithub, repository: Repository, project: Project, branch: str
):
    first, second = propose(project), propose(project)
    assert first == second
    assert (first.number, first.state, first.head_sha) == (1, "open", repository.sha(branch))
    assert [one.body for one in repository.pull_requests.values()] == [f"Closes #1.\n\n{hidden('run-7')}"]
    with tenant(project.account_id):
        row = PullRequest.objects.get()
    assert (row.number, row.marker, row.state, row.head_branch) == (1, "run-7", "open", branch)
    assert (row.head_sha, row.base_sha) == (repository.sha(branch), repository.sha("main"))


def test_a_pull_request_whose_answer_was_lost_is_found_by_the_next_attempt(
    github: StandInGithub, repository: Repository, project: Project, branch: str
):
    github.fail("POST", "/repos/acme/shop/pulls", is_after=True)
    with pytest.raises(ForgeUnavailable):
        propose(project)
    assert propose(project).number == 1
    assert list(repository.pull_requests) == [1]


def test_a_merged_pull_request_is_found_and_not_opened_again(
    github: StandInGithub, repository: Repository, project: Project, branch: str
):
    propose(project)
    merged = forge.merge(project, 1)
    assert (merged.state, merged.merge_sha) == ("merged", repository.sha("main"))
    assert propose(project) == merged
    assert forge.merge(project, 1) == merged
    with tenant(project.account_id):
        row = PullRequest.objects.get()
    assert (row.state, row.merged_by, row.merged_at) == ("merged", "paid-bot", repository.pull_requests[1].merged_at)


def test_a_forks_pull_request_with_our_marker_is_not_ours(
    github: StandInGithub, repository: Repository, project: Project, branch: str
):
    stranger = state.PullRequest(
        1, "Evil", hidden("run-7"), branch, "main", "mallory", "mallory/shop", github.state.tick()
    )
    repository.pull_requests[1] = stranger
    repository.git("branch", "other", "main")
    made = propose(project)
    assert (made.number, repository.pull_requests[2].author) == (2, "paid-bot")


def test_nothing_to_propose_and_a_missing_base_have_words_of_their_own(
    repository: Repository, project: Project, branch: str
):
    repository.git("branch", "empty", "main")
    with pytest.raises(NothingToPropose, match="no commit that its base lacks"):
        propose(project, "empty")
    project.default_branch = "trunk"
    with pytest.raises(BaseBranchMissing, match="default branch in the project's settings"):
        propose(project, branch)
    assert repository.pull_requests == {}


def test_a_pull_request_that_does_not_merge_is_a_conflict(
    github: StandInGithub, repository: Repository, project: Project, branch: str
):
    propose(project)
    before = github.state.commit(repository, "main", {"README.md": "Another shop.\n"})
    with pytest.raises(MergeConflict):
        forge.merge(project, 1)
    assert repository.sha("main") == before


def test_closing_a_pull_request_twice_is_one_closing(repository: Repository, project: Project, branch: str):
    propose(project)
    assert forge.close(project, 1).state == "closed"
    assert forge.close(project, 1).state == "closed"


def test_it_comments_once_even_when_the_answer_was_lost(
    github: StandInGithub, repository: Repository, project: Project
):
    issue = github.state.add_issue(repository, title="One")
    github.fail("POST", "/repos/acme/shop/issues/1/comments", is_after=True)
    with pytest.raises(ForgeUnavailable):
        forge.comment(project, 1, body="Done.", marker="run-7")
    forge.comment(project, 1, body="Done.", marker="run-7")
    assert [comment["body"] for comment in issue.comments] == [f"Done.\n\n{hidden('run-7')}"]


def test_somebody_elses_comment_with_our_marker_does_not_silence_us(
    github: StandInGithub, repository: Repository, project: Project
):
    issue = github.state.add_issue(repository, title="One")
    github.state.add_comment(issue, "mallory", hidden("run-7"))
    forge.comment(project, 1, body="Done.", marker="run-7")
    assert [comment["author"] for comment in issue.comments] == ["mallory", "paid-bot"]


def test_labels_are_added_and_removed_whether_they_are_there_or_not(
    github: StandInGithub, repository: Repository, project: Project
):
    issue = github.state.add_issue(repository, title="One")
    github.state.add_label(issue, "paid: in/progress", actor="alice")
    for _ in range(2):
        forge.label(project, 1, add=("paid: in review",), remove=("paid: in/progress",))
    assert issue.labels == ["paid: in review"]


def test_who_added_the_label_and_when_is_told(github: StandInGithub, repository: Repository, project: Project):
    issue = github.state.add_issue(repository, title="One")
    github.state.add_label(issue, "paid", actor="alice")
    labelled = forge.last_labelled(project, 1, "paid")
    assert labelled is not None
    assert (labelled.actor, labelled.at is not None) == ("alice", True)


@pytest.mark.parametrize(
    ("login", "may"), [("acme", True), ("alice", True), ("bob", False), ("stranger", False), ("nobody-here", False)]
)
def test_only_who_may_push_may_ask_for_a_run(project: Project, login: str, may: bool):
    assert forge.may_write(project, login) is may


def test_progress_of_a_pull_request(github: StandInGithub, repository: Repository, project: Project, branch: str):
    propose(project)
    repository.pull_requests[1].reviews = [
        {"author": "stranger", "state": "APPROVED", "association": "NONE"},
        {"author": "alice", "state": "CHANGES_REQUESTED"},
    ]
    repository.check_runs = [("completed", "success"), ("in_progress", None)]
    progress = forge.pull_request(project, 1)
    assert (progress.review_state, progress.checks_state, progress.pull_request.state) == (
        "changes_requested",
        "pending",
        "open",
    )
    repository.pull_requests[1].reviews.append({"author": "alice", "state": "APPROVED"})
    repository.check_runs = [("completed", "success"), ("completed", "skipped")]
    forge.merge(project, 1)
    progress = forge.pull_request(project, 1)
    assert (progress.review_state, progress.checks_state, progress.pull_request.state, progress.merged_by) == (
        "approved",
        "success",
        "merged",
        "paid-bot",
    )
    assert progress.merged_at is not None


# --- bad days


def test_the_primary_rate_limit_says_how_long_to_wait(github: StandInGithub, project: Project):
    github.rate_remaining, github.rate_reset_seconds = 0, 90
    with pytest.raises(RateLimited) as raised:
        forge.fetch_issue(project, 1)
    assert 89 <= raised.value.retry_after_seconds <= 92


@pytest.mark.parametrize(("status", "headers", "body", "seconds"), [
    (403, {"retry-after": "17"}, b'{"message": "You have exceeded a secondary rate limit."}', 17.0),
    (429, {"retry-after": "17"}, b"", 17.0),
    (429, {}, b"", 60.0),
    (403, {}, b'{"message": "You have exceeded a secondary rate limit. Wait."}', 60.0),
    (429, {"retry-after": "999999999"}, b"", 3700.0),
    (429, {"retry-after": "0"}, b"", 1.0),
    (429, {"retry-after": "soon"}, b"", 60.0),
    (403, {"x-ratelimit-remaining": "0", "x-ratelimit-reset": "1767265260", "Date": "Thu, 01 Jan 2026 11:00:00 GMT"},
     b"", 61.0),
])  # fmt: skip
def test_each_form_of_a_rate_limit_is_told_in_seconds(
    github: StandInGithub, project: Project, status: int, headers: dict[str, str], body: bytes, seconds: float
):
    github.fail("GET", "/repos/acme/shop/issues/1", status=status, headers=headers, body=body)
    with pytest.raises(RateLimited) as raised:
        forge.fetch_issue(project, 1)
    assert raised.value.retry_after_seconds == seconds


def test_a_token_that_github_does_not_know_is_a_bad_token(github: StandInGithub, project: Project):
    github.state.tokens.clear()
    with pytest.raises(BadToken, match="wrong, expired or revoked"):
        forge.fetch_issue(project, 1)


def test_a_revoked_token_is_not_used(github: StandInGithub, project: Project):
    project.github_token_id = None
    with pytest.raises(NoToken):
        forge.fetch_issue(project, 1)
    assert github.seen == []


def test_a_missing_permission_is_named(github: StandInGithub, repository: Repository, project: Project):
    github.state.add_issue(repository, title="One")
    github.add_token(TOKEN, "paid-bot", permissions=frozenset({"metadata:read", "issues:read"}))
    with pytest.raises(MissingPermission, match="The GitHub token lacks: Issues: write") as raised:
        forge.label(project, 1, add=("x",))
    assert raised.value.permissions == ("Issues: write",)


@pytest.mark.parametrize("failure", [
    {"status": 0}, {"status": 502, "body": b"<html>Bad gateway"}, {"status": 200, "body": b"<html>Sign in"},
    {"status": 200, "body": b"[1, 2"}, {"status": 200, "body": b'{"number": -1}'}, {"status": 200, "body": b"null"},
    {"status": 200, "body": b"[" * 100_000},
])  # fmt: skip
def test_an_answer_that_is_none_can_heal(github: StandInGithub, project: Project, failure: dict[str, Any]):
    github.fail("GET", "/repos/acme/shop/issues/1", **failure)
    with pytest.raises(ForgeUnavailable):
        forge.fetch_issue(project, 1)


def test_a_redirect_to_another_server_is_not_followed(github: StandInGithub, project: Project):
    github.fail("GET", "/repos/acme/shop/issues/1", status=301, headers={"Location": "http://127.0.0.1:9/steal"})
    with pytest.raises(NotFoundOnForge, match="renamed or moved"):
        forge.fetch_issue(project, 1)


def test_a_renamed_repository_is_read_where_it_went(github: StandInGithub, repository: Repository, project: Project):
    github.state.add_issue(repository, title="One")
    target = f"{github.api_url}/repos/acme/shop/issues/1"
    project.repo = "old-shop"
    github.fail("GET", "/repos/acme/old-shop/issues/1", status=301, headers={"Location": target})
    assert forge.fetch_issue(project, 1).title == "One"


def test_an_endless_answer_is_cut_off(github: StandInGithub, project: Project):
    github.fail("GET", "/repos/acme/shop/issues/1", status=200, body=b'"' + b"x" * 17_000_000 + b'"')
    with pytest.raises(ForgeUnavailable, match="too large"):
        forge.fetch_issue(project, 1)


def test_an_unusable_repository_says_why(github: StandInGithub, repository: Repository, project: Project):
    forge.check_repository(project)
    repository.size = 3000 * 1024
    with pytest.raises(RepositoryTooBig, match="holds 3000 MB; REPOSITORY_MAX_MEGABYTES allows 2048"):
        forge.check_repository(project)
    repository.archived = True
    with pytest.raises(RepositoryArchived):
        forge.check_repository(project)
    github.state.add_repository("acme", "bare")
    project.repo = "bare"
    with pytest.raises(RepositoryEmpty, match="no commit yet"):
        forge.check_repository(project)


def test_the_token_is_in_no_repr_message_or_chain(github: StandInGithub, project: Project, caplog: Any):
    caplog.set_level("DEBUG")
    secret = Secret(TOKEN)
    assert TOKEN not in repr(GithubClient(secret)) + repr(secret)
    github.fail("GET", "/repos/acme/shop/issues/1")
    with pytest.raises(ForgeUnavailable) as raised:
        forge.fetch_issue(project, 1)
    assert raised.value.__cause__ is None
    assert raised.value.__suppress_context__ is True
    assert TOKEN not in str(raised.value) + repr(raised.value) + caplog.text
    assert github.seen[0].authorization == f"Bearer {TOKEN}"


def test_using_a_token_notes_when(project: Project, repository: Repository, github: StandInGithub):
    github.state.add_issue(repository, title="One")
    before = datetime.now(UTC)
    forge.fetch_issue(project, 1)
    with tenant(project.account_id):
        token = GithubToken.objects.get(projects=project)
    assert token.last_used_at is not None
    assert token.last_used_at >= before
