"""What a prompt may speak about: the typed context that templates are checked against and rendered with.

A field of type `Untrusted` holds words that anybody on the forge may have written. It is data: it reaches the
agent inside a fence (prompts.rendering), and a system prompt may not use it.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass, field

from projects.models import Issue, Project

MAX_ITEMS = 100
MAX_TITLE_CHARACTERS = 1_000
MAX_BODY_CHARACTERS = 60_000
MAX_COMMENT_CHARACTERS = 20_000
MAX_GUIDE_CHARACTERS = 40_000

# Control characters, and what is invisible to a person but not to a model: tags, bidirectional overrides,
# zero-width and variation-selector characters have carried hidden instructions.
_HIDDEN = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200b\u200e\u200f\u2028-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f\U000e0100-\U000e01ef]"
)


def has_hidden_characters(text: str) -> bool:
    """Whether a text has what a person does not see and a model reads; an end of line in Windows' way is none."""
    return _HIDDEN.search(text.replace("\r\n", "\n")) is not None


class Untrusted(str):
    """A text that was written outside of the account, and where it comes from (for the fence's label)."""

    __slots__ = ("source",)
    source: str

    def __new__(cls, text: str, source: str, limit: int = MAX_BODY_CHARACTERS) -> "Untrusted":
        clean = _HIDDEN.sub("", text.replace("\r\n", "\n"))
        if len(clean) > limit:
            clean = f"{clean[:limit]}\n[{len(clean) - limit} more characters were left out]"
        made = super().__new__(cls, clean)
        made.source = source
        return made

    def alike(self, text: str) -> "Untrusted":
        """What was made of this text, e.g. by a filter: untrusted too, and clean already."""
        made = super().__new__(type(self), text)
        made.source = self.source
        return made


@dataclass(frozen=True)
class CommentContext:
    author: Untrusted
    body: Untrusted


@dataclass(frozen=True)
class IssueContext:
    number: int
    title: Untrusted
    body: Untrusted
    author: Untrusted
    url: str
    labels: tuple[Untrusted, ...] = ()
    comments: tuple[CommentContext, ...] = ()


@dataclass(frozen=True)
class ProjectContext:
    name: str
    repository: str
    default_branch: str
    language: str = ""


@dataclass(frozen=True)
class FeedbackContext:
    """What came back after a first attempt: the log of a failed check, or a review."""

    kind: str = ""
    url: str = ""
    text: Untrusted = field(default_factory=lambda: Untrusted("", "feedback"))


@dataclass(frozen=True)
class ModelContext:
    """A model that the meta-agent may choose. `note`: what else bears on the choice."""

    name: str
    price: str
    history: str = ""
    note: str = ""


@dataclass(frozen=True)
class FailureContext:
    """A run whose result was poor: what it was about, its score, and how it ended."""

    score: str
    issue: Untrusted
    ending: Untrusted


def _nothing() -> Untrusted:
    return Untrusted("", "prompt")


@dataclass(frozen=True)
class EvolutionContext:
    """A prompt that shall become better. Its text is fenced too: it is what is worked on, not what is to be done."""

    slug: str = ""
    template: Untrusted = field(default_factory=_nothing)
    system_prompt: Untrusted = field(default_factory=_nothing)
    variables: tuple[str, ...] = ()
    proposals: str = ""
    score: str = ""
    longest: str = ""
    failures: tuple[FailureContext, ...] = ()


@dataclass(frozen=True)
class PromptContext:
    """Everything that a template may name."""

    issue: IssueContext
    project: ProjectContext
    style_guide: str = ""
    feedback: FeedbackContext = field(default_factory=FeedbackContext)
    models: tuple[ModelContext, ...] = ()
    budget: str = ""  # what the run that is chosen for may spend, in a sentence
    evolution: EvolutionContext = field(default_factory=EvolutionContext)


def context_for(
    *,
    project: Project,
    issue: Issue,
    style_guide: str = "",
    comments: Sequence[tuple[str, str]] = (),
    feedback: FeedbackContext | None = None,
    models: Sequence[ModelContext] = (),
    budget: str = "",
) -> PromptContext:
    """The context of a run. `comments` are (author, body), oldest first; too many lose their oldest."""
    return PromptContext(
        issue=IssueContext(
            number=issue.number,
            title=Untrusted(issue.title, "issue title", MAX_TITLE_CHARACTERS),
            body=Untrusted(issue.body, "issue body"),
            author=Untrusted(issue.author, "issue author", MAX_TITLE_CHARACTERS),
            url=_one_line(issue.url),
            labels=tuple(Untrusted(name, "issue label", MAX_TITLE_CHARACTERS) for name in _names(issue.labels)),
            comments=tuple(_comment(*comment) for comment in comments[-MAX_ITEMS:]),
        ),
        project=ProjectContext(
            name=_one_line(project.name),
            repository=_one_line(f"{project.owner}/{project.repo}"),
            default_branch=_one_line(project.default_branch),
            language=_one_line(str(project.settings.get("language", ""))),
        ),
        style_guide=style_guide[:MAX_GUIDE_CHARACTERS],
        feedback=feedback or FeedbackContext(),
        models=tuple(models[:MAX_ITEMS]),
        budget=budget,
    )


def _comment(author: str, body: str) -> CommentContext:
    return CommentContext(
        author=Untrusted(author, "comment author", MAX_TITLE_CHARACTERS),
        body=Untrusted(body, "comment", MAX_COMMENT_CHARACTERS),
    )


def _names(labels: object) -> list[str]:
    """Labels are stored as the forge gives them: names, or objects with a name."""
    if not isinstance(labels, list):
        return []
    names = [label.get("name", "") if isinstance(label, dict) else label for label in labels]
    return [name for name in names if isinstance(name, str) and name][:MAX_ITEMS]


def _one_line(text: str) -> str:
    return " ".join(text.split())[:MAX_TITLE_CHARACTERS]
