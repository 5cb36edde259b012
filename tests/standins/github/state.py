"""What the stand-in knows: users, tokens, repositories (real bare ones on disk), issues and pull requests."""

import os
import subprocess
import tempfile
import threading
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

ALL_PERMISSIONS = frozenset({"metadata:read", "issues:write", "pull_requests:write", "contents:write", "checks:read"})


@dataclass
class Token:
    """`scopes` is None for a fine-grained token, which has `permissions` and a list of repositories instead."""

    login: str
    scopes: tuple[str, ...] | None = None
    permissions: frozenset[str] = ALL_PERMISSIONS
    repositories: tuple[str, ...] | None = None  # None: all
    expires: str = ""

    def allows(self, permission: str) -> bool:
        if self.scopes is not None:
            return "repo" in self.scopes or permission.endswith(":read")
        name, _, level = permission.partition(":")
        return permission in self.permissions or (level == "read" and f"{name}:write" in self.permissions)


@dataclass
class Issue:
    number: int
    title: str
    body: str
    author: str
    updated_at: datetime
    state: str = "open"
    labels: list[str] = field(default_factory=list)
    comments: list[dict[str, Any]] = field(default_factory=list)
    events: list[dict[str, Any]] = field(default_factory=list)


@dataclass
class PullRequest:
    number: int
    title: str
    body: str
    head: str
    base: str
    author: str
    head_repository: str
    updated_at: datetime
    state: str = "open"
    merged_at: datetime | None = None
    merged_by: str = ""
    closed_at: datetime | None = None
    merge_sha: str | None = None
    reviews: list[dict[str, str]] = field(default_factory=list)


@dataclass
class Repository:
    owner: str
    name: str
    path: Path
    size: int = 100
    archived: bool = False
    private: bool = False
    default_branch: str = "main"
    collaborators: dict[str, str] = field(default_factory=dict)
    issues: dict[int, Issue] = field(default_factory=dict)
    pull_requests: dict[int, PullRequest] = field(default_factory=dict)
    check_runs: list[tuple[str, str | None]] = field(default_factory=list)
    protected_branches: set[str] = field(default_factory=set)

    @property
    def full_name(self) -> str:
        return f"{self.owner}/{self.name}"

    def next_number(self) -> int:
        """Issues and pull requests share one sequence, as on GitHub."""
        return max([0, *self.issues, *self.pull_requests]) + 1

    def git(self, *arguments: str, check: bool = True) -> str:
        command = ["git", "-c", "user.name=GitHub", "-c", "user.email=git@example.org", "--git-dir", str(self.path)]
        done = subprocess.run([*command, *arguments], capture_output=True, text=True, check=False, timeout=60)
        if check and done.returncode != 0:
            raise RuntimeError(done.stderr)
        return done.stdout.strip()

    def sha(self, branch: str) -> str | None:
        return self.git("rev-parse", "--verify", "--quiet", f"refs/heads/{branch}^{{commit}}", check=False) or None


class State:
    """Everything, behind one lock. `clock` advances by a second with each change, so that order is certain."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.lock = threading.RLock()
        self.tokens: dict[str, Token] = {}
        self.repositories: dict[str, Repository] = {}
        self._now = datetime(2026, 1, 1, 12, 0, tzinfo=UTC)
        self._ids = 1000

    def tick(self) -> datetime:
        self._now += timedelta(seconds=1)
        return self._now

    def next_id(self) -> int:
        self._ids += 1
        return self._ids

    def add_repository(self, owner: str, name: str, *, files: dict[str, str] | None = None) -> Repository:
        """A bare repository; with `files` it has one commit on main, without it is empty."""
        path = self.directory / owner / f"{name}.git"
        path.mkdir(parents=True)
        repository = Repository(owner, name, path, collaborators={owner: "admin"})
        repository.git("init", "-q", "--bare", "--initial-branch=main")
        repository.git("config", "http.receivepack", "true")
        if files is not None:
            self.commit(repository, "main", files)
        self.repositories[repository.full_name.lower()] = repository
        return repository

    def commit(self, repository: Repository, branch: str, files: dict[str, str]) -> str:
        """A commit on top of `branch` that holds exactly `files`; its SHA."""
        git = ["git", "--git-dir", str(repository.path)]
        entries = ""
        for name, text in files.items():
            blob = subprocess.run(
                [*git, "hash-object", "-w", "--stdin"], input=text.encode(), capture_output=True, check=True
            )
            entries += f"100644 {blob.stdout.decode().strip()}\t{name}\n"
        with tempfile.TemporaryDirectory() as scratch:
            environment = os.environ | {"GIT_INDEX_FILE": f"{scratch}/index"}
            index = [*git, "update-index", "--add", "--index-info"]
            subprocess.run(index, input=entries.encode(), env=environment, check=True)
            tree = subprocess.run([*git, "write-tree"], env=environment, capture_output=True, check=True)
        parent = repository.sha(branch)
        parents = ("-p", parent) if parent else ()
        sha = repository.git("commit-tree", tree.stdout.decode().strip(), *parents, "-m", f"Change {branch}")
        repository.git("update-ref", f"refs/heads/{branch}", sha)
        return sha

    def add_issue(self, repository: Repository, *, title: str, body: str = "", author: str = "") -> Issue:
        with self.lock:
            number = repository.next_number()
            issue = Issue(number, title, body, author or repository.owner, self.tick())
            repository.issues[number] = issue
            return issue

    def add_label(self, issue: Issue, label: str, *, actor: str) -> None:
        with self.lock:
            if label not in issue.labels:
                issue.labels.append(label)
                issue.updated_at = self.tick()
                issue.events.append(
                    {"id": self.next_id(), "event": "labeled", "label": label, "actor": actor, "at": issue.updated_at}
                )

    def remove_label(self, issue: Issue, label: str) -> None:
        with self.lock:
            if label in issue.labels:
                issue.labels.remove(label)
                issue.updated_at = self.tick()

    def add_comment(self, issue: Issue, author: str, body: str) -> dict[str, Any]:
        with self.lock:
            issue.updated_at = self.tick()
            comment = {"id": self.next_id(), "author": author, "body": body, "at": issue.updated_at}
            issue.comments.append(comment)
            return comment
