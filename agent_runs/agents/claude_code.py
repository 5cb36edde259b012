"""Claude Code: `claude -p --output-format stream-json`. Its events were recorded from 2.1.197 and 2.1.330."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

from agent_runs.agents.base import OUTCOME_OF_EXIT, event_of, json_object
from agent_runs.contracts import (
    AgentEvent,
    AgentJob,
    AgentResult,
    ExitRecord,
    Outcome,
    ReadOnlyBind,
    SpoolRecord,
)
from agent_runs.sandbox.arguments import GATEWAY_SOCKET
from agent_runs.sandbox.binaries import claude_code_program

_PROGRAM = "/opt/agent/claude"
_SYSTEM_PROMPT = "/run/paid/system-prompt.txt"
# The arguments that say best what a tool is about to do.
_TELLING_INPUTS = ("command", "file_path", "path", "pattern", "query", "url", "description", "prompt")


class ClaudeCode:
    closing_types = frozenset({"result"})

    def __init__(self) -> None:
        self._closing: dict[str, Any] | None = None

    def argv(self, job: AgentJob) -> list[str]:
        arguments = [_PROGRAM, "-p", "--output-format", "stream-json", "--verbose", "--dangerously-skip-permissions"]
        arguments += ["--no-session-persistence", "--strict-mcp-config"]
        arguments += ["--max-turns", str(job.max_turns), "--model", job.model]
        if job.system_prompt:
            arguments += ["--append-system-prompt-file", _SYSTEM_PROMPT]
        return arguments

    def environment(self, job: AgentJob) -> dict[str, str]:
        bounded = {} if job.max_output_tokens is None else {"CLAUDE_CODE_MAX_OUTPUT_TOKENS": str(job.max_output_tokens)}
        return bounded | {
            # With an http:// address this variable sends every request through the socket; the host is a dummy.
            "ANTHROPIC_BASE_URL": job.base_url,
            "ANTHROPIC_UNIX_SOCKET": GATEWAY_SOCKET,
            "ANTHROPIC_AUTH_TOKEN": job.run_token,
            # Side calls (titles, summaries, sub-agents) must not ask for a model that this run may not use.
            "ANTHROPIC_DEFAULT_HAIKU_MODEL": job.model,
            "ANTHROPIC_DEFAULT_SONNET_MODEL": job.model,
            "ANTHROPIC_DEFAULT_OPUS_MODEL": job.model,
            "CLAUDE_CODE_SUBAGENT_MODEL": job.model,
            "CLAUDE_CODE_MAX_RETRIES": "5",
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "DISABLE_TELEMETRY": "1",
            "DISABLE_ERROR_REPORTING": "1",
        }

    def binds(self, job: AgentJob) -> tuple[ReadOnlyBind, ...]:
        return (ReadOnlyBind(claude_code_program(), _PROGRAM),)

    def files(self, job: AgentJob) -> dict[str, str]:
        return {_SYSTEM_PROMPT: job.system_prompt} if job.system_prompt else {}

    def feed(self, record: SpoolRecord) -> list[AgentEvent]:
        if record.stream == "system":
            return [event_of(record, "system", record.text)]
        if record.stream == "stderr":
            return [event_of(record, "stderr", record.text)] if record.text.strip() else []
        line = json_object(record.text)
        if line is None:
            return [event_of(record, "unknown", record.text)] if record.text.strip() else []
        return list(self._events(record, line))

    def _events(self, record: SpoolRecord, line: dict[str, Any]) -> Iterator[AgentEvent]:
        kind, blocks = line.get("type"), _blocks(line)
        if kind == "result" and isinstance(line.get("subtype"), str):
            self._closing = line
            # Only this usage is right: the one in assistant events is the count at the beginning of each block.
            yield event_of(record, "usage", _usage_words(line), _usage(line))
            yield event_of(record, "result", _closing_words(line), line)
        elif kind == "system" and isinstance(line.get("subtype"), str):
            yield event_of(record, "system", _system_words(line), line)
        elif kind in ("assistant", "user") and blocks is not None:
            for block in blocks:
                yield _block_event(record, str(kind), line, block)
        else:
            yield event_of(record, "unknown", record.text, line)

    def result(self, exit_record: ExitRecord) -> AgentResult:
        closing = self._closing or {}
        turns = closing.get("num_turns", 0)
        turns = turns if isinstance(turns, int) and turns >= 0 else 0
        if decided := OUTCOME_OF_EXIT.get(exit_record.reason):
            words = exit_record.detail or decided.text
            return replace(decided, text=words, exit_code=exit_record.exit_code, turns=turns)
        if self._closing is None:
            words = f"Claude Code ended without a result (exit code {exit_record.exit_code})."
            return AgentResult("error", words, exit_record.exit_code, 0)
        status = closing.get("api_error_status")
        status = status if isinstance(status, int) else None
        return AgentResult(_outcome(closing), _closing_words(closing), exit_record.exit_code, turns, status)


def _blocks(line: dict[str, Any]) -> list[dict[str, Any]] | None:
    """Content blocks of a message. A bare string is one block of text."""
    message = line.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    if isinstance(content, str):
        return [{"type": "text", "text": content}]
    if not isinstance(content, list) or not all(isinstance(block, dict) for block in content):
        return None
    return content


def _block_event(record: SpoolRecord, role: str, line: dict[str, Any], block: dict[str, Any]) -> AgentEvent:
    data = {"message_id": line["message"].get("id"), "parent_tool_use_id": line.get("parent_tool_use_id")} | block
    match block.get("type"):
        case "text":
            # What a "user" says here is the CLI's own remark, such as an interruption.
            return event_of(record, "message" if role == "assistant" else "system", str(block.get("text", "")), data)
        case "thinking":
            return event_of(record, "message", str(block.get("thinking", "")), data)
        case "tool_use":
            return event_of(record, "tool_use", _tool_words(block), data)
        case "tool_result":
            return event_of(record, "tool_result", _result_words(block.get("content")), data)
        case _:
            return event_of(record, "unknown", json.dumps(block), data)


def _tool_words(block: dict[str, Any]) -> str:
    name, arguments = str(block.get("name", "tool")), block.get("input")
    if isinstance(arguments, dict):
        for key in _TELLING_INPUTS:
            if isinstance(arguments.get(key), str):
                return f"{name}: {arguments[key]}"
    return name


def _result_words(content: Any) -> str:
    if isinstance(content, list):
        parts = [block for block in content if isinstance(block, dict)]
        return "\n".join(str(block.get("text", f"[{block.get('type', 'content')}]")) for block in parts)
    return content if isinstance(content, str) else json.dumps(content)


def _system_words(line: dict[str, Any]) -> str:
    match line["subtype"]:
        case "init":
            return f"Claude Code {line.get('claude_code_version', '')} with {line.get('model', 'an unnamed model')}"
        case "api_retry":
            attempt, limit = line.get("attempt"), line.get("max_retries")
            return f"Retry {attempt} of {limit} after {line.get('error_status')} ({line.get('error')})"
        case subtype:
            return str(line.get("summary") or line.get("description") or line.get("status") or subtype)


def _usage(line: dict[str, Any]) -> dict[str, Any]:
    return {key: line.get(key) for key in ("usage", "modelUsage", "total_cost_usd")}


def _usage_words(line: dict[str, Any]) -> str:
    usage = line.get("usage")
    counts = usage if isinstance(usage, dict) else {}
    return f"{counts.get('input_tokens', 0)} tokens in, {counts.get('output_tokens', 0)} out"


def _closing_words(line: dict[str, Any]) -> str:
    if isinstance(line.get("result"), str):
        return str(line["result"])
    errors = line.get("errors")
    words = "; ".join(str(error) for error in errors) if isinstance(errors, list) else ""
    return words or str(line.get("subtype"))


def _outcome(line: dict[str, Any]) -> Outcome:
    if line.get("subtype") == "error_max_budget_usd":
        return "budget"
    # A failed API call is told as subtype "success" with is_error.
    if line.get("subtype") == "success" and line.get("is_error") is False:
        return "success"
    words = _closing_words(line).lower()
    is_forbidden = line.get("api_error_status") == 403 or "api error: 403" in words
    return "budget" if is_forbidden and "budget" in words else "error"
