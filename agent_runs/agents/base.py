"""What Paid needs to know about an agent CLI."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Protocol

from agent_runs.contracts import AgentEvent, AgentJob, AgentResult, EventKind, ExitRecord, ReadOnlyBind, SpoolRecord

# Outcomes that are ours to decide, whatever the CLI says: an interrupted one mostly exits with 0.
OUTCOME_OF_EXIT: Mapping[str, AgentResult] = {
    "stopped": AgentResult("stopped", "Stopped.", None, 0),
    "wall_timeout": AgentResult("timeout", "The time for this run was over.", None, 0),
    "stall_timeout": AgentResult("stalled", "The agent fell silent.", None, 0),
    "limit": AgentResult("error", "The agent used more of this machine than it may.", None, 0),
    "disk_full": AgentResult("error", "What the agent said could not be kept.", None, 0),
    "launch_failed": AgentResult("error", "The agent could not be started.", None, 0),
    "lost": AgentResult("error", "The agent's supervisor died, and the agent with it.", None, 0),
}


class AgentAdapter(Protocol):
    """One adapter object serves one run.

    Feed it the spool from the first record on, also when a second worker takes the run over: `result` speaks of
    what was fed. Unknown lines never raise; they come out as events of kind "unknown".
    """

    closing_types: frozenset[str]

    def argv(self, job: AgentJob) -> list[str]: ...

    def environment(self, job: AgentJob) -> dict[str, str]: ...

    def binds(self, job: AgentJob) -> tuple[ReadOnlyBind, ...]:
        """The CLI's own files inside the sandbox."""

    def files(self, job: AgentJob) -> dict[str, str]:
        """Small files that exist only inside the sandbox: path inside → text."""

    def feed(self, record: SpoolRecord) -> list[AgentEvent]: ...

    def result(self, exit_record: ExitRecord) -> AgentResult: ...


def event_of(record: SpoolRecord, kind: EventKind, text: str, data: Mapping[str, Any] | None = None) -> AgentEvent:
    return AgentEvent(kind, text, data or {}, datetime.fromisoformat(record.at))


def json_object(text: str) -> dict[str, Any] | None:
    """The object on this line, or None for anything else that a program may print."""
    try:
        content = json.loads(text)
    except (ValueError, RecursionError):
        return None
    return content if isinstance(content, dict) else None
