"""Why a run cannot start. Each class's docstring is its message."""


class CannotStart(Exception):
    """The run cannot start."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__doc__)


class ProjectIsSwitchedOff(CannotStart):
    """The project is switched off. Switch it on in its settings, then start the run again."""


class IssueIsClosed(CannotStart):
    """The issue is closed. Open it again, then start the run."""


class KeyIsTaken(Exception):
    """Something else was asked for under this key before. Take another key for another request."""

    def __init__(self) -> None:
        super().__init__(self.__doc__)
