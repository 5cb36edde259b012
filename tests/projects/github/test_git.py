"""Git over HTTP against real bare repositories behind `git http-backend`."""

import base64
import subprocess
from pathlib import Path
from typing import Any

import pytest
from django.test import override_settings

from projects.forges.base import ForgeUnavailable, NotFoundOnForge, PushRejected
from projects.forges.github import GithubForge
from projects.forges.github.errors import BadToken, BranchTaken, MissingPermission, PushRefused, RepositoryMoved
from projects.models import Project
from tests.standins.github.fixtures import TOKEN
from tests.standins.github.server import StandInGithub
from tests.standins.github.state import Repository

pytestmark = pytest.mark.django_db
forge = GithubForge()
BRANCH = "paid/1-fix-7"


class Clone:
    """A repository of ours, fetched with the forge's environment."""

    def __init__(self, project: Project, path: Path) -> None:
        self.git_dir = str(path)
        subprocess.run(["git", "init", "-q", "--bare", self.git_dir], check=True)
        self.git(
            "fetch", "-q", forge.clone_url(project), "+refs/heads/*:refs/heads/*", **forge.git_environment(project)
        )
        self.base = self.git("rev-parse", "refs/heads/main")

    def git(self, *arguments: str, **environment: str) -> str:
        command = ["git", "-c", "user.name=t", "-c", "user.email=t@example.org", "--git-dir", self.git_dir, *arguments]
        done = subprocess.run(
            command, capture_output=True, text=True, check=True, env={"PATH": "/usr/bin:/bin"} | environment
        )
        return done.stdout.strip()

    def commit(self, parent: str, message: str) -> str:
        return self.git("commit-tree", f"{parent}^{{tree}}", "-p", parent, "-m", message)


@pytest.fixture
def clone(project: Project, tmp_path: Path) -> Clone:
    return Clone(project, tmp_path / "clone.git")


def push(project: Project, clone: Clone, sha: str, *, expected: str | None = None, branch: str = BRANCH) -> None:
    forge.push(project, git_dir=clone.git_dir, branch=branch, head_sha=sha, expected_sha=expected)


def test_it_fetches_and_pushes_a_new_branch(repository: Repository, project: Project, clone: Clone):
    sha = clone.commit(clone.base, "Mend the till")
    push(project, clone, sha)
    assert repository.sha(BRANCH) == sha


def test_pushing_the_same_commit_again_changes_nothing(repository: Repository, project: Project, clone: Clone):
    sha = clone.commit(clone.base, "Mend the till")
    push(project, clone, sha)
    push(project, clone, sha)
    assert repository.sha(BRANCH) == sha


def test_it_replaces_what_it_left_there_and_nothing_else(repository: Repository, project: Project, clone: Clone):
    first, second = clone.commit(clone.base, "First"), clone.commit(clone.base, "Second")
    push(project, clone, first)
    push(project, clone, second, expected=first)
    assert repository.sha(BRANCH) == second
    third = clone.commit(clone.base, "Third")
    with pytest.raises(PushRejected, match="somebody else pushed") as raised:
        push(project, clone, third, expected=first)
    assert not isinstance(raised.value, BranchTaken)
    assert repository.sha(BRANCH) == second


def test_a_branch_that_exists_already_is_left_alone(repository: Repository, project: Project, clone: Clone):
    repository.git("branch", BRANCH, "main")
    with pytest.raises(BranchTaken, match="is not ours"):
        push(project, clone, clone.commit(clone.base, "Mend the till"))
    assert repository.sha(BRANCH) == clone.base


def test_a_rule_of_the_repository_is_quoted(repository: Repository, project: Project, clone: Clone):
    repository.protected_branches.add(BRANCH)
    with pytest.raises(PushRefused, match="GH006: Protected branch update failed"):
        push(project, clone, clone.commit(clone.base, "Mend the till"))
    assert repository.sha(BRANCH) is None


def test_refusals_of_the_server_have_words(
    github: StandInGithub, repository: Repository, project: Project, clone: Clone
):
    sha = clone.commit(clone.base, "Mend the till")
    github.add_token(TOKEN, "paid-bot", permissions=frozenset({"metadata:read", "contents:read"}))
    with pytest.raises(MissingPermission, match="Contents: write"):
        push(project, clone, sha)
    github.add_token(TOKEN, "paid-bot", repositories=("acme/other",))
    with pytest.raises(NotFoundOnForge):
        push(project, clone, sha)
    github.state.tokens.clear()
    with pytest.raises(BadToken):
        push(project, clone, sha)
    assert repository.sha(BRANCH) is None


@pytest.mark.parametrize(
    ("failure", "error"),
    [
        ({"status": 0}, ForgeUnavailable),
        ({"status": 503}, ForgeUnavailable),
        ({"status": 301, "headers": {"Location": "http://127.0.0.1:9/x.git/info/refs"}}, RepositoryMoved),
    ],
)
def test_a_server_that_fails_or_sends_us_away_has_words(
    github: StandInGithub, project: Project, clone: Clone, failure: dict[str, Any], error: type[Exception]
):
    github.fail("GET", r"/acme/shop\.git/info/refs", times=5, **failure)
    with pytest.raises(error):
        push(project, clone, clone.commit(clone.base, "Mend the till"))


def test_an_unreachable_server_can_heal(project: Project, clone: Clone):
    sha = clone.commit(clone.base, "Mend the till")
    with override_settings(GITHUB_URL="http://127.0.0.1:9"), pytest.raises(ForgeUnavailable):
        push(project, clone, sha)


def test_a_push_whose_answer_was_lost_is_recognised(
    github: StandInGithub, repository: Repository, project: Project, clone: Clone
):
    sha = clone.commit(clone.base, "Mend the till")
    github.fail("POST", r"/acme/shop\.git/git-receive-pack", is_after=True)
    with pytest.raises(ForgeUnavailable):
        push(project, clone, sha)
    assert repository.sha(BRANCH) == sha
    push(project, clone, sha)


def test_hooks_and_configuration_in_the_git_directory_do_nothing(
    repository: Repository, project: Project, clone: Clone, tmp_path: Path
):
    hook = Path(clone.git_dir) / "hooks" / "pre-push"
    hook.write_text(f"#!/bin/sh\nenv > {tmp_path}/stolen\n")
    hook.chmod(0o755)
    clone.git("config", "http.proxy", "http://127.0.0.1:9")
    clone.git("config", "credential.helper", f"!env > {tmp_path}/stolen; true")
    sha = clone.commit(clone.base, "Mend the till")
    push(project, clone, sha)
    assert repository.sha(BRANCH) == sha
    assert not (tmp_path / "stolen").exists()


def test_the_token_is_only_in_the_environment_of_the_one_command(project: Project, clone: Clone):
    environment = forge.git_environment(project)
    credentials = base64.b64encode(f"x-access-token:{TOKEN}".encode()).decode()
    assert [name for name, value in environment.items() if credentials in value] == ["GIT_CONFIG_VALUE_0"]
    assert TOKEN not in forge.clone_url(project)
    assert credentials not in repr(environment)
    push(project, clone, clone.commit(clone.base, "Mend the till"))
    files = [path for path in Path(clone.git_dir).rglob("*") if path.is_file()]
    assert not [
        path for path in files if credentials.encode() in path.read_bytes() or TOKEN.encode() in path.read_bytes()
    ]


def test_a_url_rewritten_by_the_git_directory_is_not_given_the_token(
    github: StandInGithub, repository: Repository, project: Project, clone: Clone
):
    thief = github.url.replace("127.0.0.1", "localhost")
    clone.git("config", f"url.{thief}/.insteadOf", f"{github.url}/")
    before = len(github.seen)
    with pytest.raises(BadToken):
        push(project, clone, clone.commit(clone.base, "Mend the till"))
    assert {seen.authorization for seen in github.seen[before:]} == {""}
    assert repository.sha(BRANCH) is None


@pytest.mark.parametrize(
    ("said", "kind", "words"),
    [
        ("fatal: Authentication failed for 'http://x/acme/shop.git/'", BadToken, "wrong, expired or revoked"),
        ("fatal: could not read Username for 'http://x': terminal prompts disabled", BadToken, "Save a new one"),
        ("unable to access 'http://x/': The requested URL returned error: 403", MissingPermission, "Contents: read"),
        ("unable to access 'http://x/': The requested URL returned error: 404", NotFoundOnForge, "no such repository"),
        (
            "unable to access 'http://x/': The requested URL returned error: 502",
            ForgeUnavailable,
            "returned error: 502",
        ),
        ("unable to access 'http://x/': Failed to connect to x port 80", ForgeUnavailable, "Failed to connect"),
        ("fetch-pack: unexpected disconnect\nfatal: early EOF", ForgeUnavailable, "early EOF"),
    ],
)
def test_what_git_says_about_a_fetch_is_told_as_the_forges_doing(said: str, kind: type[Exception], words: str):
    meaning = forge.meaning_of_fetch(f"git fetch failed: {said}")
    assert type(meaning) is kind
    assert words in str(meaning)


def test_what_is_this_hosts_own_trouble_is_not_blamed_on_the_forge():
    assert forge.meaning_of_fetch("git fetch failed: error: unable to write file: No space left on device") is None
