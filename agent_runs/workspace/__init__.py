"""The files of a run: fetched by us, changed by an agent, committed by us. What an agent wrote is never trusted."""

from agent_runs.workspace.checkout import branch_name, prepare, remove
from agent_runs.workspace.commit import commit_all
from agent_runs.workspace.difference import diff
from agent_runs.workspace.errors import NestedRepository, WorkspaceError, WorkspaceRefused
from agent_runs.workspace.scan import scan
from agent_runs.workspace.verify import Check, check_commit

__all__ = [
    "Check",
    "NestedRepository",
    "WorkspaceError",
    "WorkspaceRefused",
    "branch_name",
    "check_commit",
    "commit_all",
    "diff",
    "prepare",
    "remove",
    "scan",
]
