"""Starting, stopping and judging runs over HTTP. What was decided is decided in the operations that the pages call."""

from hashlib import sha256
from http import HTTPStatus
from typing import Annotated, Literal

from pydantic import BaseModel, Field

from accounts.api_tokens import TokenHolder
from accounts.models import ApiScope, ApiToken, Membership, Role, User
from agent_runs.errors import RunAlreadyLive, RunHasEnded
from agent_runs.models import AgentRun, RunTrigger
from dashboard.api.endpoints import Body, operation
from dashboard.api.problems import Kind, Problem
from dashboard.api.prompts import PROJECT_NOT_FOUND
from dashboard.api.runs import RUN_NOT_FOUND, RunShown, Showing, Votes, get_run
from dashboard.api.shapes import Identity
from metrics.errors import BudgetExhausted, NothingToVoteOn
from metrics.models import QualityMetric
from metrics.quality.operations import vote
from projects.models import Issue, Project
from prompts.errors import NoModelAvailable, PromptError
from workflows.errors import IssueIsClosed, KeyIsTaken, ProjectIsSwitchedOff
from workflows.operations import start_run, start_run_once, stop_run

ISSUE_NOT_FOUND = Kind(HTTPStatus.NOT_FOUND, "issue_not_found")
KEY_REUSED = Kind(HTTPStatus.UNPROCESSABLE_ENTITY, "idempotency_key_reused")
HAS_ENDED = Kind(HTTPStatus.CONFLICT, "run_has_ended")
IS_LIVE = Kind(HTTPStatus.CONFLICT, "run_is_live")
NOBODY_VOTES = Kind(HTTPStatus.CONFLICT, "nobody_votes")
# Why a run cannot start, each said in the words of its exception.
REFUSALS: dict[type[Exception], Kind] = {
    RunAlreadyLive: Kind(HTTPStatus.CONFLICT, "issue_has_live_run"),
    ProjectIsSwitchedOff: Kind(HTTPStatus.CONFLICT, "project_is_switched_off"),
    IssueIsClosed: Kind(HTTPStatus.CONFLICT, "issue_is_closed"),
    PromptError: Kind(HTTPStatus.CONFLICT, "prompt_is_unusable"),
    NoModelAvailable: Kind(HTTPStatus.CONFLICT, "no_model_available"),
    BudgetExhausted: Kind(HTTPStatus.CONFLICT, "budget_exhausted"),
}
VALUES = {"up": 1, "down": -1, "none": 0}


class StartRequest(Body):
    project_id: Identity = Field(examples=[1])
    issue_number: Annotated[
        int, Field(gt=0, lt=2**31, description="Of an issue that Paid knows already.", examples=[17])
    ]


class FeedbackRequest(Body):
    vote: Literal["up", "down", "none"] = Field(description="`none` takes it back.")


class FeedbackShown(BaseModel):
    run_id: int
    votes: Votes
    quality_score: float | None


@operation(
    "POST",
    scope=ApiScope.RUNS_WRITE,
    takes=StartRequest,
    gives=RunShown,
    status=HTTPStatus.CREATED,
    problems=(PROJECT_NOT_FOUND, ISSUE_NOT_FOUND, KEY_REUSED, *REFUSALS.values()),
    takes_key=True,
)
def create_run(who: TokenHolder, asked: StartRequest, *, key: str | None) -> RunShown:
    """Start a run on an issue.

    Prompt, model and budget are chosen as for a run that a person starts. With an `Idempotency-Key` the same request
    may be sent again whenever no answer came: it is answered with the run that it has started, for 30 days. A request
    that is refused starts nothing, and leaves its key free.
    """
    run = _start(who, asked, _issue(who, asked), key)
    return Showing(who.account_id).run(get_run(who, run.pk))


def _issue(who: TokenHolder, asked: StartRequest) -> Issue:
    if not Project.objects.filter(account_id=who.account_id, pk=asked.project_id).exists():
        raise Problem(PROJECT_NOT_FOUND, f"The token's account has no project {asked.project_id}.")
    issues = Issue.objects.select_related("project__account")
    found = issues.filter(account_id=who.account_id, project_id=asked.project_id, number=asked.issue_number).first()
    if found is None:
        raise Problem(ISSUE_NOT_FOUND, f"Paid knows no issue #{asked.issue_number} of this project.")
    return found


def _start(who: TokenHolder, asked: StartRequest, issue: Issue, key: str | None) -> AgentRun:
    try:
        if key is None:
            return start_run(
                project=issue.project, issue=issue, actor=None, trigger=RunTrigger.API, actor_name=who.actor_name
            )
        digest = sha256(asked.model_dump_json().encode()).digest()
        return start_run_once(project=issue.project, issue=issue, actor_name=who.actor_name, key=key, digest=digest)
    except KeyIsTaken as error:
        raise Problem(KEY_REUSED, str(error)) from None
    except tuple(REFUSALS) as error:
        kind = next(kind for refusal, kind in REFUSALS.items() if isinstance(error, refusal))
        raise Problem(kind, str(error)) from None


@operation(
    "POST",
    scope=ApiScope.RUNS_WRITE,
    gives=RunShown,
    status=HTTPStatus.ACCEPTED,
    problems=(RUN_NOT_FOUND, HAS_ENDED),
)
def request_stop(who: TokenHolder, *, run_id: int) -> RunShown:
    """Ask a run to stop.

    The agent is ended within seconds: the run's status says when. What it has not published is thrown away; what it
    cost stays paid. Asking twice is asking once.
    """
    run = get_run(who, run_id)
    try:
        stop_run(run=run, actor=None, actor_name=who.actor_name)
    except RunHasEnded as error:
        raise Problem(HAS_ENDED, str(error)) from None
    return Showing(who.account_id).run(run)


@operation(
    "POST",
    scope=ApiScope.RUNS_WRITE,
    takes=FeedbackRequest,
    gives=FeedbackShown,
    problems=(RUN_NOT_FOUND, IS_LIVE, NOBODY_VOTES),
)
def give_feedback(who: TokenHolder, asked: FeedbackRequest, *, run_id: int) -> FeedbackShown:
    """Judge a run that has ended.

    It is the vote of the person who made the token, who has one per run: the last word counts, here or on the page.
    """
    run = get_run(who, run_id)
    try:
        vote(run=run, user=_maker(who), value=VALUES[asked.vote])
    except NothingToVoteOn as error:
        raise Problem(IS_LIVE, str(error)) from None
    quality = QualityMetric.objects.get(agent_run=run)
    score = None if quality.quality_score is None else float(quality.quality_score)
    return FeedbackShown(run_id=run.pk, votes=Votes(up=quality.votes_up, down=quality.votes_down), quality_score=score)


def _maker(who: TokenHolder) -> User:
    """Who made the token, if they may still judge runs of the account."""
    maker_id = ApiToken.objects.values_list("created_by_id", flat=True).get(account_id=who.account_id, pk=who.token_id)
    membership = Membership.objects.select_related("user").filter(account_id=who.account_id, user_id=maker_id).first()
    if membership is None or not membership.may(Role.MEMBER):
        raise Problem(NOBODY_VOTES, "The person who made this token is no member of the account any more.")
    return membership.user
