"""Whatever an agent prints: it is read, understood as far as it can be, and stored; nothing of it stops a run."""

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st

from agent_runs import spool
from agent_runs.agents.claude_code import ClaudeCode
from agent_runs.contracts import ExitRecord, SpoolRecord
from agent_runs.logs import LogLine, last_seq, write_lines
from agent_runs.models import AgentRun
from agent_runs.spool import LineFramer, SpoolWriter
from tests.factories.agent_runs import AgentRunFactory
from workflows.activities.outcomes import outcome_of_agent

AT = "2026-11-22T16:00:00.000+00:00"
ENDED = ExitRecord("finished", 0, True, AT, AT)
# Half of a surrogate pair and NUL are text to Python and JSON, and to nobody else.
texts = st.text(st.characters(), max_size=60) | st.sampled_from(["\0", "\ud800", "a\udfffb", "\u2028", "\r"])
scalars = st.none() | st.booleans() | st.integers() | st.floats() | texts
values = st.recursive(
    scalars, lambda inner: st.lists(inner, max_size=4) | st.dictionaries(texts, inner, max_size=4), max_leaves=12
)
blocks = st.fixed_dictionaries(
    {"type": st.sampled_from(["text", "thinking", "tool_use", "tool_result", "new"]) | values},
    optional={"text": values, "thinking": values, "name": values, "input": values, "content": values},
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(["system", "assistant", "user", "result", "stream_event"]) | values},
    optional={
        "subtype": st.sampled_from(["init", "api_retry", "success", "error_max_turns"]) | values,
        "message": st.fixed_dictionaries({}, optional={"id": values, "content": st.lists(blocks) | values}) | values,
        "result": values, "errors": values, "is_error": values, "num_turns": values, "usage": values,
        "api_error_status": values, "total_cost_usd": values, "attempt": values,
    },
)  # fmt: skip
lines = events.map(json.dumps) | values.map(json.dumps) | texts
in_a_database = settings(
    max_examples=80, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@given(st.lists(st.binary(max_size=40), max_size=20), st.integers(1, 50))
def test_lines_are_the_same_however_the_bytes_were_cut(chunks: list[bytes], limit: int):
    framer = LineFramer(limit_bytes=limit)
    found = [line for chunk in chunks for line in framer.feed(chunk)]
    rest = framer.rest()
    assert b"".join(found) + rest == b"".join(chunks).replace(b"\n", b"")
    assert b"\n" not in b"".join(found)
    assert len(rest) <= limit


@given(st.lists(texts, max_size=12), st.integers(1, 300))
@settings(deadline=None)
def test_the_spool_gives_back_every_line_once_and_in_order(tmp_path_factory: Any, written: list[str], step: int):
    run_dir = str(tmp_path_factory.mktemp("run"))
    writer = SpoolWriter(run_dir, 1_000_000)
    for text in written:
        writer.write("stdout", text)
    writer.close()
    found: list[SpoolRecord] = []
    offset = 0
    while (answer := spool.read_from(run_dir, offset, step))[0]:
        found += answer[0]
        offset = answer[1]
    assert [record.text for record in found] == written
    assert [record.seq for record in found] == list(range(1, len(written) + 1))


@given(st.lists(texts, min_size=1, max_size=5), st.data())
@settings(deadline=None)
def test_a_spool_that_ends_in_mid_line_gives_the_whole_lines(tmp_path_factory: Any, written: list[str], data: Any):
    run_dir = tmp_path_factory.mktemp("run")
    writer = SpoolWriter(str(run_dir), 1_000_000)
    for text in written:
        writer.write("stdout", text)
    writer.close()
    path: Path = run_dir / spool.SPOOL_NAME
    content = path.read_bytes()
    kept = content[: data.draw(st.integers(0, len(content)))]
    path.write_bytes(kept)
    records, offset = spool.read_from(str(run_dir), 0)
    assert [record.text for record in records] == written[: kept.count(b"\n")]
    assert offset == kept.rfind(b"\n") + 1


@pytest.fixture
def run(db: None) -> AgentRun:
    made: AgentRun = AgentRunFactory()
    return made


@given(st.lists(lines, min_size=1, max_size=6))
@example(['{"type": "result", "subtype": "success", "num_turns": 1e999, "usage": {"input_tokens": NaN}}'])
@example(["[" * 5_000 + "]" * 5_000])
@example(['{"type": "assistant", "message": {"id": {"a": 1}, "content": [{"type": "tool_use", "input": {"x": NaN}}]}}'])
@in_a_database
def test_whatever_claude_code_prints_becomes_rows_and_a_result(run: AgentRun, printed: list[str]):
    adapter = ClaudeCode()
    first = last_seq(run)
    understood = [event for text in printed for event in adapter.feed(SpoolRecord(1, AT, "stdout", text))]
    write_lines(run, [LogLine.of_event(first + number, event) for number, event in enumerate(understood, start=1)])
    assert last_seq(run) == first + len(understood)
    result = adapter.result(ENDED)
    outcome = outcome_of_agent(ENDED, result)
    assert outcome.verdict in ("done", "failed")
    assert bool(outcome.error) == (outcome.verdict == "failed")
    assert "\0" not in outcome.error
    outcome.error.encode()
    assert result.turns >= 0


def test_the_moment_is_that_of_the_spool():
    (event,) = ClaudeCode().feed(SpoolRecord(1, AT, "stdout", "plain words"))
    assert event.at == datetime(2026, 11, 22, 16, 0, tzinfo=UTC)
