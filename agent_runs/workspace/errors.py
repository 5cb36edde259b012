"""What can go wrong with a run's files. Every function of this package raises only these."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from agent_runs.sandbox import SandboxUnavailable
from paid.lib.git import GitFailed


class WorkspaceError(Exception):
    """The files of this run could not be handled."""


class WorkspaceRefused(WorkspaceError):
    """What no second attempt can heal; the message says what to do. `code` is what the run is filed under."""

    code = "workspace_refused"


class NestedRepository(WorkspaceRefused):
    """The agent left a git repository inside the work tree: its configuration would run as code."""

    code = "nested_repository"


class RepositoryEmpty(WorkspaceRefused):
    """The repository has no commit yet, so there is nothing to branch from. Push a first commit, then retry the run."""

    code = "repository_empty"

    def __str__(self) -> str:
        return type(self).__doc__ or ""


class BranchMissing(WorkspaceRefused):
    """The repository has no branch of that name."""

    code = "branch_missing"


class RepositoryTooLarge(WorkspaceRefused):
    """The repository is larger than this host takes."""

    code = "repository_too_large"


@contextmanager
def as_workspace_error() -> Iterator[None]:
    """Callers know the words of the cause and one class of exception."""
    try:
        yield
    except (GitFailed, SandboxUnavailable, OSError) as error:
        raise WorkspaceError(str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise WorkspaceError(f"Git took longer than {error.timeout:g} seconds.") from error
