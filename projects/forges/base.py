"""What Paid asks of a forge: GitHub, or the bare repositories of this machine.

Every method may be called twice: a retried activity must not open a second pull request or repeat a comment.
"""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Literal, Protocol

if TYPE_CHECKING:
    from projects.models import Project

PullRequestState = Literal["open", "merged", "closed"]


@dataclass(frozen=True)
class ForgeIssue:
    number: int
    title: str
    body: str
    state: Literal["open", "closed"]
    labels: tuple[str, ...]
    url: str
    forge_id: str = ""
    author: str = ""
    updated_at: datetime | None = None


@dataclass(frozen=True)
class ForgePullRequest:
    number: int
    url: str
    state: PullRequestState
    head_sha: str
    merge_sha: str | None = None


class ForgeError(Exception):
    """The forge did not do what it was asked."""

    # What a run that fails for it is filed under.
    code = "forge_refused"

    def __str__(self) -> str:
        """What was said where it was raised, else the class's docstring: the message for people."""
        return super().__str__() or inspect.cleandoc(type(self).__doc__ or "")


class ForgeUnavailable(ForgeError):
    """The forge did not answer in time or is overloaded: trying later can heal it."""

    code = "forge_unavailable"


class RateLimited(ForgeUnavailable):
    """The forge takes no more requests from us for a while: the run goes on by itself when it does."""

    def __init__(self, retry_after_seconds: float) -> None:
        super().__init__()
        self.retry_after_seconds = retry_after_seconds


class NotFoundOnForge(ForgeError):
    """The forge has no such repository, issue, branch or pull request."""

    code = "not_found_on_forge"


class PushRejected(ForgeError):
    """The branch on the forge is not where we left it: somebody else pushed to it."""

    code = "push_rejected"


class MergeConflict(ForgeError):
    """The pull request no longer merges cleanly into its base branch."""


class Forge(Protocol):
    def check_repository(self, project: Project) -> None:
        """Raises the ForgeError that would keep a run of this project from its end, in words for people."""

    def clone_url(self, project: Project) -> str:
        """Address that git fetches from; never with a credential in it."""

    def git_environment(self, project: Project) -> Mapping[str, str]:
        """Credentials as GIT_CONFIG_COUNT/KEY/VALUE for one git command against the forge; never stored."""

    def meaning_of_fetch(self, output: str) -> ForgeError | None:
        """What git said about a fetch from `clone_url` that failed; None when that was not the forge's doing."""

    def fetch_issue(self, project: Project, number: int) -> ForgeIssue: ...

    def push(self, project: Project, *, git_dir: str, branch: str, head_sha: str, expected_sha: str | None) -> None:
        """Put `head_sha` on `branch` if the forge has `expected_sha` there (None: no such branch).

        Does nothing when the branch is already at `head_sha`. Raises PushRejected.
        """

    def find_or_create_pull_request(
        self, project: Project, *, branch: str, head_sha: str, title: str, body: str, marker: str
    ) -> ForgePullRequest:
        """The pull request whose body carries the hidden `marker`, made only when there is none."""

    def comment(self, project: Project, number: int, *, body: str, marker: str) -> None:
        """Comment once on an issue or pull request: a comment with this `marker` is not repeated."""

    def label(
        self, project: Project, number: int, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()
    ) -> None: ...

    def merge(self, project: Project, number: int) -> ForgePullRequest:
        """Merge as a person asked. Raises MergeConflict. Agents never call this."""

    def close(self, project: Project, number: int) -> ForgePullRequest: ...
