"""What can go wrong with a run's files. Every function of this package raises only these."""

import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

from agent_runs.sandbox import SandboxUnavailable
from paid.lib.git import GitFailed


class WorkspaceError(Exception):
    """The files of this run could not be handled."""


class NestedRepository(WorkspaceError):
    """The agent left a git repository inside the work tree: its configuration would run as code."""


@contextmanager
def as_workspace_error() -> Iterator[None]:
    """Callers know the words of the cause and one class of exception."""
    try:
        yield
    except (GitFailed, SandboxUnavailable, OSError) as error:
        raise WorkspaceError(str(error)) from error
    except subprocess.TimeoutExpired as error:
        raise WorkspaceError(f"Git took longer than {error.timeout:g} seconds.") from error
