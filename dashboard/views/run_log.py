"""A run's log: as pages for a browser without JavaScript, as a file, and live."""

from collections.abc import AsyncIterator
from dataclasses import dataclass

from asgiref.sync import sync_to_async
from django.http import HttpResponse, HttpResponseBase, StreamingHttpResponse
from django.shortcuts import render

from agent_runs.models import AgentRun
from agent_runs.querysets import log_rows
from dashboard.live import LiveView, TooManyStreams, open_stream
from dashboard.log_lines import LogLine, lines
from dashboard.views.access import AccountRequest, account_page, get_run

PAGE_ROWS = 500
DOWNLOAD_ROWS = 2_000


@dataclass(frozen=True)
class LogPage:
    lines: list[LogLine]
    last_seq: int
    has_more: bool


def first_rows(run: AgentRun, *, after: int = 0) -> LogPage:
    rows = list(log_rows(run, after=after)[: PAGE_ROWS + 1])
    shown = lines(rows[:PAGE_ROWS])
    return LogPage(shown, shown[-1].seq if shown else after, len(rows) > PAGE_ROWS)


@account_page()
def run_log(request: AccountRequest, run_id: int) -> HttpResponse:
    run = get_run(request, run_id)
    page = first_rows(run, after=_seq(request.GET.get("after", "")))
    template = "dashboard/runs/log_more.html" if request.htmx else "dashboard/runs/log_page.html"
    return render(request, template, {"run": run, "log": page})


@account_page()
def run_log_file(request: AccountRequest, run_id: int) -> HttpResponseBase:
    """The whole log as text. Read in pages while it is sent, each in a transaction of its own."""
    run = get_run(request, run_id)
    view = LiveView.of(request.account.pk, request.user.pk, run)
    response = StreamingHttpResponse(_file(view), content_type="text/plain; charset=utf-8")
    response["Content-Disposition"] = f'attachment; filename="run-{run.pk}.log"'
    return response


async def _file(view: LiveView) -> AsyncIterator[str]:
    """Asynchronous, because Django collects a plain iterator to its end before it sends the first byte."""
    read = sync_to_async(view.rows, thread_sensitive=False)
    last_seq = 0
    while rows := await read(after=last_seq, limit=DOWNLOAD_ROWS):
        last_seq = rows[-1].seq
        yield "".join(f"{row.at:%Y-%m-%dT%H:%M:%S.%fZ} {row.kind:<6} {row.content}\n" for row in rows)


@account_page()
def run_log_stream(request: AccountRequest, run_id: int) -> HttpResponseBase:
    """Server-sent events `log`, `head`, `meter`, `timeline`, `end`; resumes behind `Last-Event-ID`."""
    run = get_run(request, run_id)
    after = _seq(request.headers.get("Last-Event-ID") or request.GET.get("after", ""))
    try:
        stream = open_stream(LiveView.of(request.account.pk, request.user.pk, run), request, after=after)
    except TooManyStreams as error:
        return HttpResponse(str(error), status=429, headers={"Retry-After": "10"}, content_type="text/plain")
    response = StreamingHttpResponse(stream, content_type="text/event-stream")
    # Proxies would otherwise collect the stream before they pass it on.
    response["X-Accel-Buffering"] = "no"
    response["Cache-Control"] = "no-store"
    return response


def _seq(text: str) -> int:
    """A row's number from outside; anything else starts at the beginning."""
    return int(text) if text.isdecimal() and len(text) <= 18 else 0
