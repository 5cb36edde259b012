"""Lines by which an agent could break whoever reads its output: its run must still be logged and end."""

from datetime import UTC, datetime
from pathlib import Path

import pytest

from agent_runs import spool, supervisor
from agent_runs.agents.claude_code import ClaudeCode
from agent_runs.contracts import ExitRecord, SpoolRecord
from agent_runs.logs import LogLine, write_lines
from agent_runs.models import AgentRun, AgentRunLog
from agent_runs.operations import record_outcome
from agent_runs.sandbox import SandboxSpec
from agent_runs.sandbox.binaries import bubblewrap_program
from agent_runs.supervisor.plan import Plan
from paid.lib.tenancy import platform, tenant
from tests.agent_runs.processes import wait_until
from tests.factories.agent_runs import AgentRunFactory

AT = datetime(2026, 11, 22, 16, 0, tzinfo=UTC).isoformat()
LINES = (
    '{"type":"system","subtype":"status","rate":NaN,"most":[Infinity,-1e999]}',
    '{"type":"assistant","message":{"id":"\\u0000","content":[{"type":"text","text":"\\ud800\\u0000"}]}}',
    '{"type":"system","subtype":"x","deep":' + "[" * 100_000 + "]" * 100_000 + "}",
    '{"type":"user","message":{"content":[{"type":"tool_result","content":{"a":NaN}}]}}',
    '{"type":"result","subtype":"success","is_error":false,"num_turns":99999999999999999999,"result":"\\u0000\\udfff"}',
)


@pytest.fixture
def run(db: None) -> AgentRun:
    made: AgentRun = AgentRunFactory()
    return made


def test_every_line_that_json_lets_through_is_logged(run: AgentRun) -> None:
    adapter = ClaudeCode()
    events = [event for line in LINES for event in adapter.feed(SpoolRecord(1, AT, "stdout", line))]
    write_lines(run, [LogLine.of_event(number, event) for number, event in enumerate(events, 1)])
    with tenant(run.account_id):
        written = list(AgentRunLog.objects.filter(agent_run_id=run.pk).order_by("seq"))
    assert written[0].metadata["data"]["rate"] == "nan"
    assert written[0].metadata["data"]["most"] == ["inf", "-inf"]
    assert written[1].content == "?\ufffd"
    assert written[-1].metadata["event"] == "result"


def test_what_the_agent_says_of_itself_fits_its_columns(run: AgentRun) -> None:
    adapter = ClaudeCode()
    adapter.feed(SpoolRecord(1, AT, "stdout", LINES[-1]))
    told = adapter.result(ExitRecord("finished", 0, True, AT, AT))
    with tenant(run.account_id):
        record_outcome(run=run, iterations=told.turns, summary=told.text)
    with platform():
        run.refresh_from_db()
    assert (run.summary, run.iterations) == ("\ufffd?", 2_147_483_647)


def test_a_deep_line_that_looks_like_the_last_does_not_end_the_supervisor(tmp_path: Path) -> None:
    script = """head -c 100000 /dev/zero | tr '\\0' '['; echo '"result"'; echo after"""
    argv = ("/bin/sh", "-c", script)
    plan = Plan(SandboxSpec(directory="/"), argv, "", bubblewrap_program(), closing_types=("result",))
    supervisor.start(str(tmp_path), plan)
    wait_until(lambda: not supervisor.is_alive(str(tmp_path)))
    ended = supervisor.read_exit(str(tmp_path))
    assert ended is not None
    assert (ended.reason, ended.closing_event) == ("finished", False)
    assert spool.read_from(str(tmp_path), 0)[0][-1].text == "after"
