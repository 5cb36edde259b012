"""A run's log over HTTP, as JSON lines."""

from collections.abc import AsyncIterator
from typing import Annotated, Any

from asgiref.sync import sync_to_async
from django.db import connection
from django.http import StreamingHttpResponse
from pydantic import BaseModel, Field

from accounts.api_tokens import TokenHolder
from accounts.models import ApiScope
from agent_runs.models import AgentRun, AgentRunLog, LogKind
from agent_runs.querysets import whole_log_rows
from dashboard.api.endpoints import Query, operation
from dashboard.api.problems import HEADERS
from dashboard.api.runs import RUN_NOT_FOUND, get_run
from dashboard.api.shapes import Moment
from paid.lib.tenancy import tenant

BATCH_ROWS = 1_000


class LogQuery(Query):
    after: Annotated[int, Field(ge=0, lt=2**63, description="`seq` of the last line that you have.")] = 0


class LogLine(BaseModel):
    seq: int
    at: Moment
    kind: LogKind
    content: str
    metadata: dict[str, Any]

    @classmethod
    def of(cls, row: AgentRunLog) -> "LogLine":
        kind = LogKind(row.kind)
        return cls(seq=row.seq, at=row.created_at, kind=kind, content=row.content, metadata=row.metadata)


@operation(
    "GET",
    scope=ApiScope.RUNS_READ,
    takes=LogQuery,
    gives=LogLine,
    problems=(RUN_NOT_FOUND,),
    media_type="application/jsonl",
)
def read_log(who: TokenHolder, asked: LogQuery, *, run_id: int) -> StreamingHttpResponse:
    """A run's log, one JSON object a line.

    It goes from behind `after` to what is there now. To follow a live run, ask again with the last `seq` until its
    status says that it has ended. Lines are kept for 90 days.
    """
    run = get_run(who, run_id)
    return StreamingHttpResponse(_lines(run, asked.after), content_type="application/jsonl", headers=HEADERS)


async def _lines(run: AgentRun, after: int) -> AsyncIterator[str]:
    """Read in pieces while it is sent, each in a transaction of its own: a slow reader holds no connection."""
    read = sync_to_async(_read, thread_sensitive=False)
    while rows := await read(run, after):
        after = rows[-1].seq
        yield "".join(f"{LogLine.of(row).model_dump_json()}\n" for row in rows)


def _read(run: AgentRun, after: int) -> list[AgentRunLog]:
    """Called in a thread: gives its connection back."""
    try:
        with tenant(run.account_id):
            return list(whole_log_rows(run, after=after)[:BATCH_ROWS])
    finally:
        connection.close()
