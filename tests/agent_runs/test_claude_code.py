"""The adapter against streams that the real CLI wrote."""

from collections import Counter
from pathlib import Path

import pytest

from agent_runs.agents.claude_code import ClaudeCode
from agent_runs.agents.registry import UnknownAgent, adapter_for
from agent_runs.contracts import AgentEvent, AgentJob, AgentResult, ExitReason, ExitRecord, SpoolRecord

STREAMS = Path(__file__).parent / "streams"
AT = "2026-11-22T16:38:12.696+00:00"


def ended(exit_code: int | None, reason: ExitReason = "finished", detail: str = "") -> ExitRecord:
    return ExitRecord(reason, exit_code, True, AT, AT, detail)


def play(name: str) -> tuple[ClaudeCode, list[AgentEvent]]:
    adapter = ClaudeCode()
    lines = (STREAMS / name).read_text().splitlines()
    records = [SpoolRecord(number, AT, "stdout", line) for number, line in enumerate(lines, start=1)]
    return adapter, [event for record in records for event in adapter.feed(record)]


@pytest.mark.parametrize(
    ("name", "exit_code", "expected"),
    [
        ("claude-text.jsonl", 0, AgentResult("success", "Just text. ", 0, 1)),
        ("claude-bash.jsonl", 0, AgentResult("success", "Done: I added hello.txt. ", 0, 2)),
        ("claude-write.jsonl", 0, AgentResult("success", "Done: I added hello.txt. ", 0, 2)),
        ("claude-partial.jsonl", 0, AgentResult("success", "Just text. ", 0, 1)),
        ("claude330-bash.jsonl", 0, AgentResult("success", "Done: I added hello.txt. ", 0, 2)),
        ("claude330-write.jsonl", 0, AgentResult("success", "Done: I added hello.txt. ", 0, 2)),
        ("claude-e529then.jsonl", 0, AgentResult("success", "Done: I added hello.txt. ", 0, 2)),
        (
            "claude-e429.jsonl",
            1,
            AgentResult(
                "error", "API Error: Request rejected (429) · This request would exceed your rate limit", 1, 1, 429
            ),
        ),
        (
            "claude-e403.jsonl",
            1,
            AgentResult(
                "budget",
                "Failed to authenticate. API Error: 403 Paid: budget exceeded for run 42 (limit $1.00)",
                1,
                1,
                403,
            ),
        ),
        (
            "claude330-e403.jsonl",
            1,
            AgentResult(
                "budget",
                "Failed to authenticate. API Error: 403 Paid: budget exceeded for run 42 (limit $1.00)",
                1,
                1,
                403,
            ),
        ),
        ("claude-maxturns.jsonl", 1, AgentResult("error", "Reached maximum number of turns (3)", 1, 4)),
        ("claude-maxbudget.jsonl", 1, AgentResult("budget", "Reached maximum budget ($0.02)", 1, 5)),
        (
            "claude-term-bash.jsonl",
            143,
            AgentResult("error", "Claude Code ended without a result (exit code 143).", 143, 0),
        ),
    ],
)
def test_each_recorded_run_has_its_outcome(name: str, exit_code: int, expected: AgentResult) -> None:
    adapter, _ = play(name)
    assert adapter.result(ended(exit_code)) == expected


@pytest.mark.parametrize(("name", "turns"), [("claude-int-stall.jsonl", 2), ("claude330-int-bash.jsonl", 3)])
def test_an_interrupted_run_is_stopped_although_it_exits_with_0(name: str, turns: int) -> None:
    adapter, _ = play(name)
    assert adapter.result(ended(0, "stopped", "Stopped by Ada.")) == AgentResult("stopped", "Stopped by Ada.", 0, turns)


@pytest.mark.parametrize(
    ("reason", "outcome"),
    [
        ("wall_timeout", "timeout"),
        ("stall_timeout", "stalled"),
        ("limit", "error"),
        ("disk_full", "error"),
        ("launch_failed", "error"),
        ("lost", "error"),
    ],
)
def test_what_the_supervisor_decided_counts_more_than_the_stream(reason: ExitReason, outcome: str) -> None:
    adapter, _ = play("claude-bash.jsonl")
    assert adapter.result(ended(137, reason, "why")) == AgentResult(outcome, "why", 137, 2)  # type: ignore[arg-type]


def test_a_run_with_a_tool_becomes_these_events() -> None:
    _, events = play("claude-bash.jsonl")
    command = (
        "echo hello > hello.txt && git add -A && git -c user.name=agent -c user.email=agent@paid.invalid "
        'commit -qm "Add hello" && git log --oneline | head -3'
    )
    assert [(event.kind, event.text) for event in events] == [
        ("system", "Claude Code 2.1.197 with claude-sonnet-4-5"),
        ("message", "I will run a command. "),
        ("tool_use", f"Bash: {command}"),
        ("tool_result", "50d471a Add hello\n2b4bbec init"),
        ("message", "Done: I added hello.txt. "),
        ("usage", "2000 tokens in, 100 out"),
        ("result", "Done: I added hello.txt. "),
    ]
    assert {event.at.isoformat() for event in events} == {"2026-11-22T16:38:12.696000+00:00"}


def test_retries_are_told_in_words() -> None:
    _, events = play("claude-e429.jsonl")
    assert [event.text for event in events if event.kind == "system"] == [
        "Claude Code 2.1.197 with claude-sonnet-4-5",
        "Retry 1 of 2 after 429 (rate_limit)",
        "Retry 2 of 2 after 429 (rate_limit)",
    ]


def test_usage_is_taken_once_from_the_closing_event_and_never_summed() -> None:
    _, events = play("claude330-write.jsonl")
    usages = [event.data for event in events if event.kind == "usage"]
    assert len(usages) == 1
    counts = usages[0]["usage"]
    assert (counts["input_tokens"], counts["cache_creation_input_tokens"]) == (2000, 400)
    assert (counts["cache_read_input_tokens"], counts["output_tokens"]) == (600, 100)


def test_partial_messages_are_kept_raw() -> None:
    _, events = play("claude-partial.jsonl")
    assert Counter(event.kind for event in events) == {
        "system": 2,
        "unknown": 7,
        "message": 1,
        "usage": 1,
        "result": 1,
    }
    assert [event.data["type"] for event in events if event.kind == "unknown"] == ["stream_event"] * 7


@pytest.mark.parametrize("name", sorted(path.name for path in STREAMS.glob("claude*.jsonl")))
def test_only_partial_messages_are_unknown_in_any_stream(name: str) -> None:
    _, events = play(name)
    assert {event.data["type"] for event in events if event.kind == "unknown"} <= {"stream_event"}


OTHERS = sorted(
    path.name for path in STREAMS.iterdir() if path.name.startswith(("codex", "gemini", "opencode", "aider"))
)


@pytest.mark.parametrize("name", OTHERS)
def test_lines_of_other_agents_are_kept_as_unknown(name: str) -> None:
    adapter, events = play(name)
    lines = [line for line in (STREAMS / name).read_text().splitlines() if line.strip()]
    assert [(event.kind, event.text) for event in events] == [("unknown", line) for line in lines]
    assert adapter.result(ended(0)).outcome == "error"


@pytest.mark.parametrize(
    "line",
    [
        "not JSON",
        "[1, 2]",
        '"text"',
        "{}",
        '{"type": null}',
        '{"type": "assistant"}',
        '{"type": "assistant", "message": []}',
        '{"type": "user", "message": {"content": [1]}}',
        '{"type": "result"}',
        '{"type": "system", "subtype": {}}',
        '{"type": "a later invention", "x": 1}',
        "[" * 100_000,
    ],
)
def test_a_line_that_nobody_foresaw_is_kept_as_it_is(line: str) -> None:
    assert [(e.kind, e.text) for e in ClaudeCode().feed(SpoolRecord(1, AT, "stdout", line))] == [("unknown", line)]


def test_an_unknown_block_in_a_known_message_is_kept() -> None:
    line = '{"type":"assistant","message":{"id":"m","content":[{"type":"hologram","x":1},{"type":"text","text":"Hi"}]}}'
    events = ClaudeCode().feed(SpoolRecord(1, AT, "stdout", line))
    assert [(event.kind, event.text) for event in events] == [
        ("unknown", '{"type": "hologram", "x": 1}'),
        ("message", "Hi"),
    ]


def test_stderr_and_the_supervisors_words_are_events_too() -> None:
    adapter = ClaudeCode()
    assert [e.kind for e in adapter.feed(SpoolRecord(1, AT, "stderr", "warning"))] == ["stderr"]
    assert [e.kind for e in adapter.feed(SpoolRecord(2, AT, "system", "No output."))] == ["system"]
    assert adapter.feed(SpoolRecord(3, AT, "stderr", "  ")) == []


def job(**changes: object) -> AgentJob:
    values: dict[str, object] = {
        "run_id": 7,
        "agent": "claude_code",
        "model": "claude-sonnet-4-5",
        "prompt": "Fix the bug in secret words",
        "system_prompt": "Be brief.",
        "workspace": "/w",
        "run_dir": "/r",
        "gateway_socket": "/g/gateway.sock",
        "run_token": "token-that-nobody-may-see",
        "base_url": "http://gateway",
        "max_turns": 12,
        "wall_seconds": 60,
        "stall_seconds": 30,
    }
    return AgentJob(**(values | changes))  # type: ignore[arg-type]


def test_the_command_line_holds_no_prompt_and_no_token() -> None:
    argv = ClaudeCode().argv(job())
    assert argv == [
        "/opt/agent/claude",
        "-p",
        "--output-format",
        "stream-json",
        "--verbose",
        "--dangerously-skip-permissions",
        "--no-session-persistence",
        "--strict-mcp-config",
        "--max-turns",
        "12",
        "--model",
        "claude-sonnet-4-5",
        "--append-system-prompt-file",
        "/run/paid/system-prompt.txt",
    ]
    assert ClaudeCode().files(job()) == {"/run/paid/system-prompt.txt": "Be brief."}
    assert "--append-system-prompt-file" not in ClaudeCode().argv(job(system_prompt=None))


def test_every_model_that_the_cli_may_ask_for_is_the_runs_model() -> None:
    environment = ClaudeCode().environment(job())
    assert {value for name, value in environment.items() if name.endswith("_MODEL")} == {"claude-sonnet-4-5"}
    assert environment["ANTHROPIC_AUTH_TOKEN"] == "token-that-nobody-may-see"
    assert environment["ANTHROPIC_UNIX_SOCKET"] == "/run/paid/gateway.sock"


def test_a_job_never_shows_its_token() -> None:
    assert "token-that-nobody-may-see" not in repr(job())


def test_an_agent_without_adapter_is_refused_by_name() -> None:
    with pytest.raises(UnknownAgent, match="No adapter for agent 'hal': use one of claude_code"):
        adapter_for("hal")
