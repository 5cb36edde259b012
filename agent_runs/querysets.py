"""Reads of runs: filtered lists in pages, and the pages of a log."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from typing import NamedTuple, cast

from django.db.models import Q, QuerySet
from django.db.models.fields.json import KT

from agent_runs.mentions import MOST_MENTIONS, Mention
from agent_runs.models import LIVE_STATUSES, AgentRun, AgentRunLog
from paid.lib.moments import Moment
from projects.models import Issue, Project
from prompts.models import LanguageModel


@dataclass(frozen=True)
class RunFilter:
    """What a list of runs is narrowed to; an empty field narrows nothing. `status` may also be `live`.

    `text` is a part of the issue's title, the branch or the error, or the run's or issue's number. A whole branch is
    its run alone.
    """

    status: str = ""
    project_id: int | None = None
    agent: str = ""
    language_model_id: int | None = None
    prompt_version_id: int | None = None
    since: date | None = None
    until: date | None = None
    text: str = ""

    def condition(self) -> Q:
        """Of all but the text."""
        exact = {
            "project_id": self.project_id,
            "agent": self.agent,
            "language_model_id": self.language_model_id,
            "prompt_version_id": self.prompt_version_id,
        }
        condition = Q(**{name: value for name, value in exact.items() if value})
        if self.status:
            condition &= Q(status__in=LIVE_STATUSES) if self.status == "live" else Q(status=self.status)
        # Bounds on the column itself, which the index over the newest runs serves; on its date it would not.
        if self.earliest:
            condition &= Q(created_at__gte=self.earliest)
        if self.latest:
            condition &= Q(created_at__lte=self.latest)
        return condition

    @property
    def earliest(self) -> datetime | None:
        return datetime.combine(self.since, time.min, UTC) if self.since else None

    @property
    def latest(self) -> datetime | None:
        return datetime.combine(self.until, time.max, UTC) if self.until else None


@dataclass(frozen=True)
class Position:
    """Where a page of runs starts: the last row of the page before. `str()` and `parse` are the form in URLs."""

    created_at: datetime
    run_id: int

    def __str__(self) -> str:
        return f"{self.created_at.isoformat()}~{self.run_id}"

    def is_before(self, run: AgentRun) -> bool:
        """Whether the list has the run further down."""
        return (run.created_at, run.pk) < (self.created_at, self.run_id)

    @classmethod
    def parse(cls, text: str) -> "Position | None":
        moment, _, run_id = text.partition("~")
        try:
            at, number = datetime.fromisoformat(moment), int(run_id)
            # A time without zone would be compared in the server's zone; PostgreSQL knows none 16 hours off.
            return cls(at.astimezone(UTC), number) if at.tzinfo and 0 < number < 2**63 else None
        except (ValueError, OverflowError):
            return None


@dataclass(frozen=True)
class RunPage:
    """A page may be short, or empty, and have a next one: see `Mentions.edge`."""

    runs: list[AgentRun]
    next_position: Position | None


# What lists of runs show of a run: to read the other thirty columns of a row takes longer than to find it.
LISTED = (
    "account_id",
    "project_id",
    "issue_id",
    "language_model_id",
    "status",
    "error",
    "created_at",
    "paused_at",
    "started_at",
    "finished_at",
    "cost_usd",
    "unpriced_calls",
)


def listed(runs: QuerySet[AgentRun]) -> QuerySet[AgentRun]:
    """With `LISTED` only; any other column costs a query a row."""
    return runs.only(*LISTED)


def named(runs: Iterable[AgentRun]) -> list[AgentRun]:
    """The same with what lists show of other tables: a project's, an issue's and a model's name.

    They are read by key and not joined: the planner takes a tenant's policy on each joined table for a narrow filter,
    and at times reads all of the account's issues for it. Django's own prefetch looks them up by tuples of one, which
    was a quarter of the time of a page with fifty rows.
    """
    found = list(runs)
    projects = Project.objects.only("account_id", "name").in_bulk({run.project_id for run in found})
    issues = Issue.objects.only("account_id", "number", "title").in_bulk({run.issue_id for run in found})
    models = LanguageModel.objects.only("account_id", "name", "model_id", "is_scripted")
    models_by_id = models.in_bulk({run.language_model_id for run in found})
    for run in found:
        run.project = projects[run.project_id]
        run.issue = issues[run.issue_id]
        run.language_model = models_by_id[run.language_model_id]
    return found


def newest(runs: QuerySet[AgentRun], size: int) -> list[AgentRun]:
    """The newest of `runs` with names: a walk along the runs' index, which stops after `size`."""
    return named(listed(runs).order_by("-created_at", "-id")[:size])


def newest_of_each(*wanted: tuple[QuerySet[AgentRun], int]) -> list[list[AgentRun]]:
    """Several lists as `newest` gives one, with the names of all in as many queries as those of one."""
    found = [list(listed(runs).order_by("-created_at", "-id")[:size]) for runs, size in wanted]
    named(run for runs in found for run in runs)
    return found


def run_page(account_id: int, run_filter: RunFilter, *, after: Position | None, size: int) -> RunPage:
    """Newest first, for the running tenant. The index agent_runs_recent serves both the order and a page's start."""
    runs = AgentRun.objects.filter(account_id=account_id)
    if after is not None:
        runs = runs.filter(
            Q(created_at__lt=after.created_at) | Q(created_at=after.created_at, id__lt=after.run_id),
            # The planner uses the index for this simple bound; the exact one above only trims its edge.
            created_at__lte=after.created_at,
        )
    narrowed = runs.filter(run_filter.condition())
    if not run_filter.text:
        return _page(newest(narrowed, size + 1), size)
    return _page_of_mentions(narrowed, run_filter, after=after, size=size)


def _page_of_mentions(runs: QuerySet[AgentRun], run_filter: RunFilter, *, after: Position | None, size: int) -> RunPage:
    """Those of `runs` that hold the filter's text. More of them are looked at where few are among `runs`."""
    mention = Mention.of(
        run_filter.text,
        since=run_filter.earliest,
        until=after.created_at if after else run_filter.latest,
        before_id=after.run_id if after else None,
    )
    branch = mention.is_the_branch()
    if branch is not None and (rows := newest(runs.filter(branch), 1)):
        return RunPage(rows, None)
    places: set[tuple[datetime, int]] = set()
    most = mention.first_look(size + 1, is_narrowed=bool(run_filter.condition()))
    looked_at = 0
    while True:
        found = mention.newest(most)
        looked_at += len(found.run_ids)
        # Places, and in no order: for one the planner would walk along the list, past all that is not among them.
        places |= set(runs.filter(mention.is_made_or_numbered(found.run_ids)).values_list("created_at", "pk"))
        # What has the number may be older than what was looked at: it comes when that is.
        near = sorted((place for place in places if found.edge is None or place >= found.edge), reverse=True)
        if found.edge is None or len(near) > size:
            return _page(_listed_of(near[: size + 1]), size)
        if len(found.run_ids) < most or looked_at >= MOST_MENTIONS:
            return RunPage(_listed_of(near), Position(*found.edge))
        # Half as many more as are missing if the share of those that are wanted stays as it was.
        promised = looked_at * (size + 1 - len(near)) * 3 // (2 * max(1, len(near)))
        most = min(MOST_MENTIONS - looked_at, max(size, promised))
        mention = mention.older_than(found.edge)


def _listed_of(places: Sequence[tuple[datetime, int]]) -> list[AgentRun]:
    return newest(AgentRun.objects.filter(pk__in=[run_id for _, run_id in places]), len(places))


def _page(rows: list[AgentRun], size: int) -> RunPage:
    last = rows[size - 1] if len(rows) > size else None
    return RunPage(rows[:size], Position(last.created_at, last.pk) if last else None)


def live_runs(account_id: int) -> QuerySet[AgentRun]:
    """The index agent_runs_live serves it."""
    return AgentRun.objects.filter(account_id=account_id, status__in=LIVE_STATUSES).order_by("-created_at", "-id")


def failures_of(account_id: int, *, days: int) -> QuerySet[AgentRun]:
    """Of the last days, the newest first."""
    since = datetime.now(UTC) - timedelta(days=days)
    failures = AgentRun.objects.filter(account_id=account_id, status="failed", created_at__gte=since)
    return failures.order_by("-created_at", "-id")


class LogRow(NamedTuple):
    """What is shown of a row. `event` is the agent's own kind of it, where an adapter understood it."""

    seq: int
    kind: str
    content: str
    at: datetime
    event: str | None


def whole_log_rows(run: AgentRun, *, after: int = 0) -> QuerySet[AgentRunLog]:
    """The run's log in order from behind `after`; the run's start lets it read one partition only."""
    return AgentRunLog.objects.filter(
        account_id=run.account_id, run_created_at=run.created_at, agent_run_id=run.pk, seq__gt=after
    ).order_by("seq")


def log_rows(run: AgentRun, *, after: int = 0) -> "QuerySet[AgentRunLog, LogRow]":
    """The same as far as pages show it. Of 500 rows most of the time went into objects: these are named tuples."""
    shown = whole_log_rows(run, after=after).annotate(event=KT("metadata__event"), at=Moment("created_at"))
    return cast("QuerySet[AgentRunLog, LogRow]", shown.values_list(*LogRow._fields, named=True))
