"""Rows of the log in real PostgreSQL, written and read by the roles that do so in production."""

import threading
from datetime import UTC, datetime, timedelta, timezone
from typing import Any

import pytest
from django.conf import settings
from django.db import connection
from redis import Redis
from structlog.testing import capture_logs

from agent_runs import live
from agent_runs.contracts import AgentEvent
from agent_runs.logs import PARTS_PER_LINE, LogLine, last_seq, write_lines
from agent_runs.models import AgentRun, AgentRunLog, LogKind
from paid.lib.tenancy import platform, tenant
from tests.agent_runs.processes import wait_until
from tests.factories.agent_runs import AgentRunFactory

AT = datetime(2026, 11, 22, 16, 0, tzinfo=UTC)


@pytest.fixture
def run(db: None) -> AgentRun:
    made: AgentRun = AgentRunFactory()
    return made


def line(seq: int, content: str, kind: LogKind = LogKind.EVENT) -> LogLine:
    return LogLine(seq, kind, content, {"event": "message"}, AT + timedelta(seconds=seq))


def rows(run: AgentRun) -> list[tuple[int, str, str]]:
    with tenant(run.account_id):
        found = AgentRunLog.objects.filter(agent_run_id=run.pk).order_by("seq")
        return [(row.seq, row.kind, row.content) for row in found]


def test_lines_become_rows_in_order(run: AgentRun) -> None:
    write_lines(run, [line(1, "one"), line(2, "two", LogKind.STDERR), line(3, "")])
    assert rows(run) == [(4096, "event", "one"), (8192, "stderr", "two"), (12288, "event", "")]
    with tenant(run.account_id):
        first = AgentRunLog.objects.filter(agent_run_id=run.pk).order_by("seq")[0]
    assert (first.created_at, first.metadata, first.account_id) == (
        line(1, "").at,
        {"event": "message"},
        run.account_id,
    )
    assert last_seq(run) == 3


def test_a_run_without_lines_begins_at_0(run: AgentRun) -> None:
    assert last_seq(run) == 0
    write_lines(run, [])
    assert rows(run) == []


def test_what_another_attempt_wrote_is_not_written_twice(run: AgentRun) -> None:
    write_lines(run, [line(1, "one"), line(2, "two")])
    write_lines(run, [line(1, "one"), line(2, "two"), line(3, "three")])
    write_lines(run, [line(2, "two"), line(3, "three")])
    assert [content for _, _, content in rows(run)] == ["one", "two", "three"]


def test_a_long_line_is_split_and_can_be_put_together_again(run: AgentRun) -> None:
    text = "".join(f"word{number} " for number in range(5_000))
    write_lines(run, [line(1, text), line(2, "after")])
    found = rows(run)
    assert "".join(content for _, _, content in found[:-1]) == text
    assert [seq for seq, _, _ in found[:3]] == [PARTS_PER_LINE, PARTS_PER_LINE + 1, PARTS_PER_LINE + 2]
    assert {len(content) for _, _, content in found[:-2]} == {8_000}
    with tenant(run.account_id):
        second = AgentRunLog.objects.get(agent_run_id=run.pk, seq=PARTS_PER_LINE + 1)
    assert second.metadata == {"event": "message", "part": 2, "parts": len(found) - 1}
    assert last_seq(run) == 2


def test_a_line_of_ten_megabytes_is_written(run: AgentRun) -> None:
    write_lines(run, [line(1, "x" * 10_000_000)])
    assert sum(len(content) for _, _, content in rows(run)) == 10_000_000


def test_what_postgresql_cannot_store_is_replaced(run: AgentRun) -> None:
    event = AgentEvent("tool_use", "a\0b\ud800c", {"name": "x\0y", "input": {"k": "\udfff", "literal": "\\u0000"}}, AT)
    write_lines(run, [LogLine.of_event(1, event)])
    with tenant(run.account_id):
        row = AgentRunLog.objects.get(agent_run_id=run.pk)
    assert row.content == "a\ufffdb?c"
    assert row.metadata["data"]["name"] == "x\ufffdy"
    assert row.metadata["data"]["input"]["k"] == "?"


@pytest.mark.parametrize("half", ["", "\ud800"], ids=["encoded by pydantic", "encoded by json"])
def test_signs_of_copy_and_neighbours_stay_what_they_are(run: AgentRun, half: str) -> None:
    """Rows are made together: what one of them holds must neither move nor change another."""
    texts = [
        "",
        "\\",
        "\\N",
        "\\.",
        "\\\\n",
        "a\tb\nc\r\nd",
        "\0",
        "\0\0x\0",
        "ü 中 \U0001f600",
        '\x1b\x7f\x85\u2028","',
        half,
        "",
    ]
    india = timezone(timedelta(hours=5, minutes=30))
    lines = [
        LogLine(seq, LogKind.STDOUT, text, {"event": text, "data": {text: [text]}}, AT.astimezone(india))
        for seq, text in enumerate(texts, start=1)
    ]
    write_lines(run, lines)
    with tenant(run.account_id):
        found = list(AgentRunLog.objects.filter(agent_run_id=run.pk).order_by("seq"))
    stored = [text.replace("\0", "\ufffd").replace("\ud800", "?") for text in texts]
    assert [row.content for row in found] == stored
    assert [row.metadata for row in found] == [{"event": text, "data": {text: [text]}} for text in stored]
    assert {row.created_at for row in found} == {AT}


def test_metadata_repeats_neither_the_content_nor_whole_files() -> None:
    data = {"text": "said", "input": {"file_path": "a.py", "content": "y" * 10_000}, "list": list(range(100))}
    metadata = LogLine.of_event(1, AgentEvent("tool_use", "said", data, AT)).metadata
    assert metadata == {
        "event": "tool_use",
        "data": {"input": {"file_path": "a.py", "content": "y" * 500 + "…"}, "list": list(range(30))},
    }
    assert LogLine.of_event(1, AgentEvent("unknown", "raw", {"raw": 1}, AT)).metadata == {"event": "unknown"}


@pytest.mark.parametrize(
    ("event_kind", "kind"),
    [
        ("message", "event"),
        ("tool_use", "event"),
        ("tool_result", "event"),
        ("result", "event"),
        ("usage", "metric"),
        ("system", "system"),
        ("stderr", "stderr"),
        ("unknown", "stdout"),
    ],
)
def test_each_kind_of_event_has_its_kind_of_row(event_kind: str, kind: str) -> None:
    event = AgentEvent(event_kind, "x", {}, AT)  # type: ignore[arg-type]
    assert LogLine.of_event(1, event).kind == kind


def test_the_writer_restores_the_role_it_came_from(run: AgentRun) -> None:
    with tenant(run.account_id):
        write_lines(run, [line(1, "one")])
        write_lines(run, [line(1, "one"), line(2, "two")])
        with connection.cursor() as cursor:
            cursor.execute("SELECT current_user, current_setting('paid.account_id')")
            assert cursor.fetchone() == ("paid_tenant", str(run.account_id))
    assert last_seq(run) == 2


def test_another_tenant_sees_none_of_the_rows(run: AgentRun) -> None:
    write_lines(run, [line(1, "one")])
    other: AgentRun = AgentRunFactory()
    with tenant(other.account_id):
        assert AgentRunLog.objects.count() == 0
    with platform():
        assert AgentRunLog.objects.count() == 1


def test_a_wake_up_reaches_who_listens() -> None:
    with Redis.from_url(settings.REDIS_URL) as client, client.pubsub(ignore_subscribe_messages=True) as listener:
        listener.subscribe(live.channel(7))
        heard = threading.Event()

        def listen() -> None:
            for message in listener.listen():
                if message["channel"] == b"paid:run:7":
                    heard.set()
                    return

        def has_heard() -> bool:
            # A writer waits half a second for Redis and no longer: one wake-up may be lost on a slow machine.
            live.wake(7)
            return heard.wait(0.5)

        wait_until(lambda: dict(client.pubsub_numsub(live.channel(7))) == {b"paid:run:7": 1})
        threading.Thread(target=listen, daemon=True).start()
        wait_until(has_heard)


def test_without_redis_a_wake_up_is_only_a_warning(settings: Any) -> None:
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    live._client.cache_clear()
    with capture_logs() as records:
        live.wake(7)
    live._client.cache_clear()
    assert records == [{"event": "live_log.not_woken", "log_level": "warning", "run_id": 7}]
