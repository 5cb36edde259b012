"""Runs over HTTP: the list with the filters of its page, and one run."""

from datetime import date
from http import HTTPStatus
from typing import Annotated

from django.conf import settings
from django.urls import reverse
from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from accounts.api_tokens import TokenHolder
from accounts.models import Account, ApiScope
from agent_runs.models import AgentRun, RunStatus, RunTrigger
from agent_runs.querysets import Position, RunFilter, run_page
from dashboard.api.endpoints import INVALID, Query, operation
from dashboard.api.problems import FieldProblem, Kind, Problem
from dashboard.api.shapes import Identity, Moment, Text, Usd
from metrics.models import QualityMetric

RUN_NOT_FOUND = Kind(HTTPStatus.NOT_FOUND, "run_not_found")


class IssueShown(BaseModel):
    number: int
    title: str
    url: str


class ModelShown(BaseModel):
    id: int
    name: str
    model_id: str = Field(description="The provider's name of it.")


class PullRequestShown(BaseModel):
    number: int
    state: str
    url: str


class TokensShown(BaseModel):
    input: int
    output: int
    cache_read: int
    cache_write: int


class RunShown(BaseModel):
    id: int
    page: str = Field(description="Where people look at it.")
    status: RunStatus
    trigger: RunTrigger
    project_id: int
    issue: IssueShown
    agent: str
    model: ModelShown
    prompt_version_id: int
    experiment_variant_id: int | None
    retry_of: int | None
    branch: str
    pull_request: PullRequestShown | None
    error_code: str
    error: str
    iterations: int
    tokens: TokensShown
    cost_usd: Usd
    unpriced_calls: int = Field(description="Calls whose price is not known yet: they are missing in `cost_usd`.")
    created_at: Moment
    started_at: Moment | None
    finished_at: Moment | None
    stop_requested_at: Moment | None


class Votes(BaseModel):
    up: int
    down: int


class WholeRun(RunShown):
    base_sha: str
    head_sha: str
    summary: str = Field(description="The agent's closing words.")
    quality_score: float | None = Field(description="From 0 to 1; null while nothing is confirmed.")
    votes: Votes


STATUSES = ("live", *RunStatus.values)


def _status(wanted: str) -> str:
    if wanted not in STATUSES:
        raise ValueError(f"must be one of {', '.join(STATUSES)}")
    return wanted


Status = Annotated[str, AfterValidator(_status), WithJsonSchema({"type": "string", "enum": list(STATUSES)})]


class RunsQuery(Query):
    status: Status | None = None
    project_id: Identity | None = None
    agent: Annotated[Text, Field(max_length=50)] = ""
    model_id: Identity | None = None
    prompt_version_id: Identity | None = None
    since: date | None = Field(None, description="The first day (UTC).")
    until: date | None = Field(None, description="The last day (UTC).")
    text: Annotated[Text, Field(max_length=200, description="Issue, branch, error or #number.")] = ""
    after: Annotated[Text, Field(max_length=100, description="`next_after` of the page before.")] = ""
    limit: Annotated[int, Field(ge=1, le=200)] = 50


class RunsPage(BaseModel):
    runs: list[RunShown]
    next_after: str | None = Field(description="Null on the last page.")


SHOWN_AS_KEPT = (
    "id", "status", "trigger", "project_id", "agent", "prompt_version_id", "branch", "error_code", "error",
    "iterations", "cost_usd", "unpriced_calls", "created_at", "started_at", "finished_at", "stop_requested_at",
)  # fmt: skip


class Showing:
    """How one account's runs are shown."""

    def __init__(self, account_id: int) -> None:
        self._slug = Account.objects.values_list("slug", flat=True).get(pk=account_id)

    def run(self, run: AgentRun) -> RunShown:
        return RunShown.model_validate(self._facts(run))

    def whole(self, run: AgentRun) -> WholeRun:
        quality = QualityMetric.objects.filter(agent_run=run).first()
        return WholeRun.model_validate(
            self._facts(run)
            | {
                "base_sha": run.base_sha,
                "head_sha": run.head_sha,
                "summary": run.summary,
                "quality_score": quality.quality_score if quality else None,
                "votes": Votes(up=quality.votes_up if quality else 0, down=quality.votes_down if quality else 0),
            }
        )

    def _facts(self, run: AgentRun) -> dict[str, object]:
        model, pull_request = run.language_model, run.pull_request
        return {name: getattr(run, name) for name in SHOWN_AS_KEPT} | {
            "page": settings.PUBLIC_URL.rstrip("/") + reverse("run", args=[self._slug, run.pk]),
            "issue": IssueShown(number=run.issue.number, title=run.issue.title, url=run.issue.url),
            "model": ModelShown(id=model.pk, name=model.name, model_id=model.model_id),
            "experiment_variant_id": run.ab_variant_id,
            "retry_of": run.retry_of_id,
            "pull_request": pull_request
            and PullRequestShown(number=pull_request.number, state=pull_request.state, url=pull_request.url),
            "tokens": TokensShown(
                input=run.input_tokens,
                output=run.output_tokens,
                cache_read=run.cache_read_tokens,
                cache_write=run.cache_write_tokens,
            ),
        }


def get_run(who: TokenHolder, run_id: int) -> AgentRun:
    found = AgentRun.objects.filter(account_id=who.account_id, pk=run_id).first()
    if found is None:
        raise Problem(RUN_NOT_FOUND, f"The token's account has no run {run_id}.")
    return found


@operation("GET", scope=ApiScope.RUNS_READ, takes=RunsQuery, gives=RunsPage)
def list_runs(who: TokenHolder, asked: RunsQuery) -> RunsPage:
    """Runs, the newest first, in pages.

    Each parameter narrows the list as it does on the page of runs; `status=live` are those that have not ended. For
    the next page ask the same with `after`: runs that start meanwhile move nothing. A page with a `text` may be short,
    or empty, and have a next one: where few of the runs that hold it fit the other parameters, and where it is without
    three letters or digits in a row, which is looked for in 4,000 runs at a time.
    """
    after = Position.parse(asked.after)
    if asked.after and after is None:
        raise Problem(INVALID, "after: not a position", errors=[FieldProblem(field="after", detail="not a position")])
    narrowed = RunFilter(
        status=asked.status or "",
        project_id=asked.project_id,
        agent=asked.agent,
        language_model_id=asked.model_id,
        prompt_version_id=asked.prompt_version_id,
        since=asked.since,
        until=asked.until,
        text=asked.text,
    )
    page = run_page(who.account_id, narrowed, after=after, size=asked.limit)
    showing = Showing(who.account_id)
    return RunsPage(
        runs=[showing.run(run) for run in page.runs],
        next_after=str(page.next_position) if page.next_position else None,
    )


@operation("GET", scope=ApiScope.RUNS_READ, gives=WholeRun, problems=(RUN_NOT_FOUND,))
def read_run(who: TokenHolder, *, run_id: int) -> WholeRun:
    """One run with what came of it."""
    return Showing(who.account_id).whole(get_run(who, run_id))
