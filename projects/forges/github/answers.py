"""What we read of GitHub's answers and webhooks. Fields that we do not read are not named, so they may change."""

from datetime import datetime
from typing import Annotated, Literal

from pydantic import AfterValidator, AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field


def _storable(value: object) -> str:
    """GitHub sends null for an empty text; PostgreSQL refuses NUL and half a surrogate pair."""
    text = "" if value is None else str(value)
    return text.encode("utf-8", "replace").decode().replace("\0", "\ufffd")


def _plausible(moment: datetime) -> datetime:
    """At the edges of the calendar, sums with a moment overflow."""
    if not 2000 <= moment.year <= 2200:
        raise ValueError("a moment that cannot be")
    return moment


Text = Annotated[str, BeforeValidator(_storable)]
Moment = Annotated[AwareDatetime, AfterValidator(_plausible)]
Number = Annotated[int, Field(gt=0, le=2_147_483_647)]
Id = Annotated[int, Field(ge=0, lt=2**63)]


class Lenient(BaseModel):
    model_config = ConfigDict(extra="ignore", frozen=True)


class User(Lenient):
    """A deleted account is null on GitHub; where we ask for a login it is then "ghost", as on its pages."""

    login: Text = "ghost"
    id: Id = 0


GHOST = User()
Person = Annotated[User, BeforeValidator(lambda value: {} if value is None else value)]


class Label(Lenient):
    name: Text = ""


class Issue(Lenient):
    id: Id
    number: Number
    title: Text = ""
    body: Text = ""
    state: Literal["open", "closed"] = "open"
    user: Person = GHOST
    labels: list[Label | str] = []
    html_url: Text = ""
    updated_at: Moment | None = None
    pull_request: dict[str, object] | None = None

    @property
    def label_names(self) -> tuple[str, ...]:
        return tuple(label if isinstance(label, str) else label.name for label in self.labels)


class IssueEvent(Lenient):
    """One line of an issue's timeline: who added which label, and when."""

    event: Text = ""
    actor: Person = GHOST
    created_at: Moment | None = None
    label: Label | None = None


class Comment(Lenient):
    id: Id
    body: Text = ""
    user: Person = GHOST


class Permissions(Lenient):
    push: bool = False
    admin: bool = False


class Repository(Lenient):
    full_name: Text = ""
    default_branch: Text = "main"
    size: int = 0  # kilobytes
    archived: bool = False
    disabled: bool = False
    private: bool = False
    permissions: Permissions | None = None


class RepositoryName(Lenient):
    full_name: Text = ""


class Ref(Lenient):
    ref: Text = ""
    sha: Text = ""
    repo: RepositoryName | None = None


class PullRequest(Lenient):
    number: Number
    title: Text = ""
    body: Text = ""
    state: Literal["open", "closed"] = "open"
    html_url: Text = ""
    head: Ref = Ref()
    base: Ref = Ref()
    merged: bool | None = None  # absent in lists
    merged_at: Moment | None = None
    merged_by: Person = GHOST
    merge_commit_sha: str | None = None
    closed_at: Moment | None = None
    updated_at: Moment | None = None

    @property
    def is_merged(self) -> bool:
        return self.merged is True or self.merged_at is not None


class Review(Lenient):
    user: Person = GHOST
    state: Text = ""
    author_association: Text = ""


class CheckRun(Lenient):
    status: Text = ""
    conclusion: str | None = None


class CheckRuns(Lenient):
    total_count: int = 0
    check_runs: list[CheckRun] = []


class CombinedStatus(Lenient):
    state: Text = ""
    total_count: int = 0


class CollaboratorPermission(Lenient):
    permission: Text = "none"  # admin, write, read, none: maintain and triage are told as write and read
    role_name: Text = ""


class Merge(Lenient):
    sha: Text = ""
    merged: bool = False


class ErrorDetail(Lenient):
    message: Text = ""
    field: Text = ""
    code: Text = ""


class Problem(Lenient):
    """The body of a refusal; `errors` holds objects or plain texts."""

    message: Text = ""
    errors: list[ErrorDetail | str] = []

    @property
    def text(self) -> str:
        details = [error if isinstance(error, str) else error.message for error in self.errors]
        return " ".join(part for part in (self.message, *details) if part)[:500]
