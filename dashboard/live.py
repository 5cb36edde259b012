"""A run's live page as server-sent events.

The rows come from the database by `seq`, so that nothing depends on Redis: a message there only ends the wait
early. While it waits a stream holds no database connection.
"""

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from datetime import datetime

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import HttpRequest
from django.template.loader import render_to_string

from accounts.models import Membership, Role
from agent_runs.models import LIVE_STATUSES, AgentRun, RunStep
from agent_runs.querysets import LogRow, log_rows
from dashboard.log_lines import lines
from dashboard.templatetags.rows import log_rows as log_rows_as_html
from dashboard.views.access import may_work
from dashboard.wake_ups import wake_ups
from metrics.models import BudgetReservation
from paid.lib.tenancy import tenant

MAX_STREAMS_PER_USER = 8
BATCH_ROWS = 200
POLL_SECONDS = 1.0
HEARTBEAT_SECONDS = 15.0
# A stream that outlives its session's rights is cut: the browser opens a new one, which is checked again.
MAX_SECONDS = 900.0


class TooManyStreams(Exception):
    """Too many live pages are open. Close some of them, then reload this one."""

    def __str__(self) -> str:
        return self.__doc__ or ""


@dataclass(frozen=True)
class Snapshot:
    """What one look at the database found."""

    run: AgentRun
    rows: list[LogRow]
    fragments: dict[str, str]

    @property
    def has_ended(self) -> bool:
        return self.run.status not in LIVE_STATUSES


@dataclass(frozen=True)
class LiveView:
    """Whose eyes see which run. Every read is a short transaction of its own, as this tenant."""

    account_id: int
    user_id: int
    run_id: int
    run_created_at: datetime

    @classmethod
    def of(cls, account_id: int, user_id: int, run: AgentRun) -> "LiveView":
        return cls(account_id, user_id, run.pk, run.created_at)

    def rows(self, *, after: int, limit: int) -> list[LogRow]:
        """Called in a thread: gives its connection back."""
        run = AgentRun(pk=self.run_id, account_id=self.account_id, created_at=self.run_created_at)
        try:
            with tenant(self.account_id, self.user_id):
                return list(log_rows(run, after=after)[:limit])
        finally:
            connection.close()

    def look(self, request: HttpRequest, after: int) -> Snapshot | None:
        """None once the run or the viewer's membership is gone. Called in a thread: gives its connection back."""
        try:
            with tenant(self.account_id, self.user_id):
                membership = Membership.objects.filter(account_id=self.account_id, user_id=self.user_id).first()
                runs = AgentRun.objects.select_related("project", "issue", "language_model", "pull_request")
                # The status is read before the rows: when it says ended, these rows are the last.
                run = runs.filter(account_id=self.account_id, pk=self.run_id).first()
                if run is None or membership is None:
                    return None
                rows = list(log_rows(run, after=after)[:BATCH_ROWS])
                return Snapshot(run, rows, self._fragments(request, run, membership))
        finally:
            connection.close()

    def _fragments(self, request: HttpRequest, run: AgentRun, membership: Membership) -> dict[str, str]:
        context = {
            "run": run,
            "is_live": run.status in LIVE_STATUSES,
            "may_start": may_work(membership),
            "may_grant": membership.may(Role.ADMIN),
            "steps": list(RunStep.objects.filter(agent_run=run).order_by("started_at", "id")),
            "reservation": BudgetReservation.objects.filter(agent_run=run).first(),
        }
        return {
            name: render_to_string(f"dashboard/runs/{name}.html", context, request)
            for name in ("head", "meter", "timeline")
        }


@dataclass
class _Open:
    """Streams that are open in this process, by user."""

    by_user: Counter[int] = field(default_factory=Counter)


_open = _Open()


def open_stream(view: LiveView, request: HttpRequest, *, after: int) -> AsyncIterator[str]:
    """The events behind row `after`. Raises TooManyStreams when the user has too many open."""
    if _open.by_user[view.user_id] >= MAX_STREAMS_PER_USER:
        raise TooManyStreams
    return _counted(view.user_id, _events(view, request, after))


async def _counted(user_id: int, events: AsyncIterator[str]) -> AsyncIterator[str]:
    _open.by_user[user_id] += 1
    try:
        async for event in events:
            yield event
    finally:
        _open.by_user[user_id] -= 1


async def _events(view: LiveView, request: HttpRequest, after: int) -> AsyncIterator[str]:
    in_thread = sync_to_async(view.look, thread_sensitive=False)
    shown: dict[str, str] = {}
    clock = asyncio.get_running_loop().time
    last_sent = started = clock()
    yield "retry: 1000\n\n"
    async with wake_ups(view.run_id) as wait:
        while clock() - started < MAX_SECONDS:
            snapshot = await in_thread(request, after)
            if snapshot is None:
                yield _event("end", "")
                return
            text = _changes(snapshot, shown)
            if snapshot.rows:
                after = snapshot.rows[-1].seq
            if text:
                last_sent = clock()
                yield text
            if len(snapshot.rows) == BATCH_ROWS:
                continue
            if snapshot.has_ended:
                yield _event("end", str(snapshot.run.status))
                return
            if clock() - last_sent > HEARTBEAT_SECONDS:
                last_sent = clock()
                yield ": still here\n\n"
            await wait(POLL_SECONDS)


def _changes(snapshot: Snapshot, shown: dict[str, str]) -> str:
    """The new rows and the fragments that differ from what this stream sent last."""
    events = []
    if snapshot.rows:
        rows = log_rows_as_html(lines(snapshot.rows))
        events.append(_event("log", rows, event_id=snapshot.rows[-1].seq))
    for name, html in snapshot.fragments.items():
        if shown.get(name) != html:
            shown[name] = html
            events.append(_event(name, html))
    return "".join(events)


def _event(name: str, data: str, *, event_id: int | None = None) -> str:
    prefix = f"id: {event_id}\n" if event_id is not None else ""
    body = "".join(f"data: {line}\n" for line in data.splitlines() or [""])
    return f"{prefix}event: {name}\n{body}\n"
