"""The forge of this machine: real bare repositories, real rows, read back with git itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from accounts.models import AuditEvent
from paid.lib.tenancy import tenant
from projects.forges.base import ForgeError, ForgeIssue, ForgePullRequest, MergeConflict, NotFoundOnForge, PushRejected
from projects.forges.local import LocalForge
from projects.forges.registry import forge_for
from projects.models import Comment, Issue, Project, PullRequest
from projects.repositories import local_repository
from projects.reviews import close_pull_request, merge_pull_request
from projects.sample import create_sample_project, sample_issue
from tests.agent_runs.repositories import git, push, write
from tests.factories.accounts import AccountFactory, UserFactory
from tests.factories.projects import ProjectFactory

BODY = "Closes #1."


@dataclass
class Place:
    project: Project
    bare: Path
    clone: Path
    forge: LocalForge

    def branch(self, name: str, files: dict[str, str]) -> str:
        """A branch in the clone, on top of what `main` is there; returns its commit."""
        git(self.clone, "checkout", "--quiet", "-B", name, "main")
        write(self.clone, files)
        git(self.clone, "add", "--all")
        git(self.clone, "commit", "--quiet", "-m", name)
        return git(self.clone, "rev-parse", "HEAD")

    def push(self, branch: str, head: str, expected: str | None = None) -> None:
        self.forge.push(
            self.project, git_dir=str(self.clone / ".git"), branch=branch, head_sha=head, expected_sha=expected
        )

    def propose(self, branch: str, head: str, marker: str = "paid-run-1") -> ForgePullRequest:
        return self.forge.find_or_create_pull_request(
            self.project, branch=branch, head_sha=head, title="Mend it", body=BODY, marker=marker
        )

    def proposed(self, files: dict[str, str]) -> tuple[PullRequest, str]:
        head = self.branch("paid/1", files)
        self.push("paid/1", head)
        self.propose("paid/1", head)
        return PullRequest.objects.get(project=self.project), head


@pytest.fixture
def place(db: None, settings: Any, tmp_path: Path) -> Iterator[Place]:
    settings.REPOSITORIES_DIR = tmp_path / "repositories"
    account = AccountFactory()
    with tenant(account.pk):
        project = create_sample_project(account=account)
        bare, clone = local_repository(project), tmp_path / "clone"
        git(tmp_path, "clone", "--quiet", str(bare), str(clone))
        yield Place(project, bare, clone, LocalForge())


def test_the_sample_has_an_issue_and_a_test_that_fails(place: Place) -> None:
    issue = Issue.objects.get(project=place.project)
    assert (issue.number, issue.title) == (1, "Slugs get several hyphens when a title has several spaces")
    assert place.project.settings == {"is_demo": True, "test_command": "python3 -m unittest"}
    assert git(place.clone, "ls-files").splitlines() == [
        ".gitignore",
        "README.md",
        "tests/__init__.py",
        "tests/test_slug.py",
        "tests/test_wrap.py",
        "textkit/__init__.py",
        "textkit/slug.py",
        "textkit/wrap.py",
    ]
    assert git(place.bare, "log", "--format=%an|%s", "main") == "Sample|A small package with a failing test"


def test_making_the_sample_again_changes_nothing(place: Place) -> None:
    before = git(place.bare, "rev-parse", "main")
    assert create_sample_project(account=place.project.account) == place.project
    assert git(place.bare, "rev-parse", "main") == before
    assert Issue.objects.filter(project=place.project).count() == 1


def test_a_closed_sample_issue_is_followed_by_a_new_one(place: Place) -> None:
    Issue.objects.filter(project=place.project).update(state="closed")
    assert sample_issue(project=place.project).number == 2
    assert sample_issue(project=place.project).number == 2


def test_the_registry_knows_this_forge(place: Place) -> None:
    assert isinstance(forge_for(place.project), LocalForge)
    assert place.forge.clone_url(place.project) == str(place.bare)
    assert place.forge.git_environment(place.project) == {}


def test_a_project_without_repository_is_told(place: Place) -> None:
    with pytest.raises(NotFoundOnForge, match="has no repository on this machine"):
        place.forge.clone_url(ProjectFactory(account=place.project.account))


def test_an_issue_is_read_from_its_row(place: Place) -> None:
    place.forge.label(place.project, 1, add=("paid",))
    told = place.forge.fetch_issue(place.project, 1)
    assert told == ForgeIssue(1, told.title, told.body, "open", ("paid",), "")
    with pytest.raises(NotFoundOnForge, match="no issue #9"):
        place.forge.fetch_issue(place.project, 9)


def test_pushing_twice_is_pushing_once(place: Place) -> None:
    head = place.branch("paid/1", {"a": "1"})
    place.push("paid/1", head)
    place.push("paid/1", head)
    assert git(place.bare, "rev-parse", "paid/1") == head


def test_a_branch_that_somebody_else_moved_is_not_overwritten(place: Place) -> None:
    theirs = place.branch("paid/1", {"a": "theirs"})
    git(place.clone, "push", "--quiet", "origin", "paid/1")
    ours = place.branch("paid/1", {"a": "ours"})
    with pytest.raises(PushRejected):
        place.push("paid/1", ours)
    with pytest.raises(PushRejected):
        place.push("paid/1", ours, expected=git(place.clone, "rev-parse", "main"))
    assert git(place.bare, "rev-parse", "paid/1") == theirs
    place.push("paid/1", ours, expected=theirs)
    assert git(place.bare, "rev-parse", "paid/1") == ours


def test_nothing_is_pushed_to_the_default_branch(place: Place) -> None:
    before = git(place.bare, "rev-parse", "main")
    head = place.branch("work", {"a": "1"})
    with pytest.raises(ForgeError, match="never pushes to main"):
        place.push("main", head, expected=before)
    assert git(place.bare, "rev-parse", "main") == before


def test_one_marker_makes_one_pull_request(place: Place) -> None:
    row, head = place.proposed({"a": "1"})
    assert place.propose("paid/1", head).number == 2
    assert PullRequest.objects.count() == 1
    assert (row.number, row.head_sha, row.base_sha) == (2, head, git(place.bare, "rev-parse", "main"))
    assert (row.head_branch, row.base_branch, row.state, row.issue_id) == (
        "paid/1",
        "main",
        "open",
        Issue.objects.get().pk,
    )
    assert place.propose("paid/1", head, marker="paid-run-2").number == 3


def test_a_second_proposal_takes_the_newer_commit(place: Place) -> None:
    row, head = place.proposed({"a": "1"})
    newer = place.branch("paid/1", {"a": "2"})
    place.push("paid/1", newer, expected=head)
    place.propose("paid/1", newer)
    row.refresh_from_db()
    assert row.head_sha == newer


def test_a_branch_that_was_not_pushed_makes_no_pull_request(place: Place) -> None:
    head = place.branch("paid/1", {"a": "1"})
    with pytest.raises(NotFoundOnForge, match="no branch paid/1"):
        place.propose("paid/1", head)
    assert PullRequest.objects.count() == 0


def test_a_comment_is_made_once(place: Place) -> None:
    for _ in range(2):
        place.forge.comment(place.project, 1, body="Done.", marker="paid-run-1")
    place.forge.comment(place.project, 1, body="Done again.", marker="paid-run-2")
    assert list(Comment.objects.values_list("number", "author", "body").order_by("id")) == [
        (1, "Paid", "Done."),
        (1, "Paid", "Done again."),
    ]


def test_labels_are_added_and_removed_once(place: Place) -> None:
    place.forge.label(place.project, 1, add=("a", "b"))
    place.forge.label(place.project, 1, add=("b", "c"), remove=("a",))
    assert Issue.objects.get().labels == ["b", "c"]
    row, _ = place.proposed({"a": "1"})
    place.forge.label(place.project, row.number, add=("x",))
    row.refresh_from_db()
    assert row.labels == ["x"]
    with pytest.raises(NotFoundOnForge):
        place.forge.label(place.project, 99, add=("x",))


def test_a_person_merges_and_the_issue_is_closed(place: Place) -> None:
    row, head = place.proposed({"new.txt": "new\n"})
    before, alice = git(place.bare, "rev-parse", "main"), UserFactory(name="Alice")
    merge_pull_request(pull_request=row, actor=alice)
    row.refresh_from_db()
    assert (row.state, row.merged_by, row.issue and row.issue.work_state) == ("merged", "Alice", "done")
    assert (
        git(place.bare, "log", "-1", "--format=%P|%s", "main") == f"{before} {head}|Merge pull request #2 from paid/1"
    )
    assert git(place.bare, "show", "main:new.txt") == "new"
    assert Issue.objects.get().state == "closed"
    assert list(AuditEvent.objects.values_list("action", flat=True)) == ["pull_request.merge"]


def test_merging_twice_merges_once(place: Place) -> None:
    row, _ = place.proposed({"new.txt": "new\n"})
    first = place.forge.merge(place.project, row.number)
    row.refresh_from_db()
    merged_at = row.merged_at
    assert place.forge.merge(place.project, row.number) == first
    row.refresh_from_db()
    assert row.merged_at == merged_at
    assert git(place.bare, "rev-list", "--count", "main") == "3"


def test_a_merge_that_does_not_fit_any_more_is_refused_and_changes_nothing(place: Place) -> None:
    row, _ = place.proposed({"README.md": "ours\n"})
    git(place.clone, "checkout", "--quiet", "main")
    theirs = push(place.clone, {"README.md": "theirs\n"}, "Meanwhile")
    with pytest.raises(MergeConflict, match="#2 no longer merges cleanly into main"):
        place.forge.merge(place.project, row.number)
    row.refresh_from_db()
    assert (row.state, git(place.bare, "rev-parse", "main")) == ("open", theirs)


def test_a_closed_pull_request_stays_closed(place: Place) -> None:
    row, _ = place.proposed({"a": "1"})
    before = git(place.bare, "rev-parse", "main")
    close_pull_request(pull_request=row, actor=UserFactory())
    with pytest.raises(ForgeError, match="is closed"):
        place.forge.merge(place.project, row.number)
    row.refresh_from_db()
    assert (row.state, row.closed_at is not None) == ("closed", True)
    assert git(place.bare, "rev-parse", "main") == before


def test_another_tenant_finds_nothing(place: Place) -> None:
    row, _ = place.proposed({"a": "1"})
    with tenant(AccountFactory().pk):
        for attempt in (place.forge.merge, place.forge.close, place.forge.fetch_issue):
            with pytest.raises(NotFoundOnForge):
                attempt(place.project, row.number)
