class WorkspaceError(Exception):
    """The files of this run could not be handled."""


class NestedRepository(WorkspaceError):
    """The agent left a git repository inside the work tree: its configuration would run as code."""
