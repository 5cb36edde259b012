"""What can go wrong with runs. Each class's docstring is its message."""


class RunError(Exception):
    """Something is wrong with a run."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__doc__)


class RunAlreadyLive(RunError):
    """A run already works on this issue. Wait for it to end, or stop it first."""


class RunHasEnded(RunError):
    """The run has ended: nothing about it can change any more. Retry it to start a new one."""


class RunIsStillLive(RunError):
    """The run has not ended yet. Stop it first, then retry it."""


class RunIsNotPaused(RunError):
    """The run does not wait for a decision (any more): somebody may have let it go on, or stopped it."""
