"""What can go wrong with prompts and models. Each class's docstring is its message."""

from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from prompts.models import StyleGuide


class PromptError(Exception):
    """Something is wrong with a prompt."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__doc__)


class PromptNotFound(PromptError):
    """There is no such prompt for this project. Run `manage.py seed_prompts`, or write one with this slug."""


@dataclass(frozen=True)
class Problem:
    """One thing that is wrong with a template. `line` counts from 1; 0 is the whole template.

    `name` is the variable, field or filter that does not exist, where that is what is wrong.
    """

    line: int
    message: str
    name: str = ""

    def __str__(self) -> str:
        return f"Line {self.line}: {self.message}" if self.line else self.message


class TemplateRefused(PromptError):
    """The template cannot be used as a prompt."""

    def __init__(self, problems: tuple[Problem, ...]) -> None:
        super().__init__("\n".join(str(problem) for problem in problems))
        self.problems = problems


class RenderingTooLarge(PromptError):
    """The prompt is too long when it is filled in. Shorten the template or what it includes."""


class PromptExists(PromptError):
    """There is a prompt with this slug in this scope already. Edit that one."""


class VersionNotOfPrompt(PromptError):
    """This version belongs to another prompt."""


class NothingChanged(PromptError):
    """The text is the same as in the version that you edited."""


class NoEarlierVersion(PromptError):
    """There is no earlier version to go back to."""


class TokenRefused(PromptError):
    """There is no such token, or it is revoked or expired. Make another one in the account's settings."""


class TokenMayNotRead(PromptError):
    """This token may not read prompts: it needs the scope prompts:read."""


class UnknownProject(PromptError):
    """The token's account has no such project."""


class BadLabel(PromptError):
    """A label has lower-case letters, digits, - and _, begins with a letter or digit, and has at most 50 characters."""


class StyleGuideExists(PromptError):
    """There is a style guide of this name for this language in this scope already. Edit that one, or rename yours."""


class StyleGuideChanged(PromptError):
    """Somebody saved this style guide since you began. Compare the two below; saving now replaces theirs."""

    def __init__(self, standing: "StyleGuide") -> None:
        super().__init__()
        self.standing = standing


class PreferenceExists(PromptError):
    """This preference is there already."""


class PreferenceTarget(PromptError):
    """A preference is about either a provider or one model. Choose one of the two."""


class PreferenceForeignModel(PromptError):
    """This model belongs to another account. Choose one of your own or of the host's registry."""


class NoModelAvailable(Exception):
    """No language model may be used for this run."""


class ExperimentError(Exception):
    """Something is wrong with an experiment."""

    def __init__(self, message: str = "") -> None:
        super().__init__(message or self.__doc__)


class ExperimentRefused(ExperimentError):
    """The experiment cannot be made like this."""


class ExperimentRuns(ExperimentError):
    """Another experiment runs on this prompt already. Pause or complete it first: two would mix their effects."""


class WrongExperimentStatus(ExperimentError):
    """The experiment has gone on in the meantime. Load the page again to see where it is now."""
