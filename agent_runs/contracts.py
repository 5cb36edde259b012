"""What crosses the seams of a run: the job, the spool, the agent's events, the result. Standard library only.

The supervisor, the adapters, the sandbox and the workflows all speak in these frozen dataclasses.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal

SpoolStream = Literal["stdout", "stderr", "system"]
EventKind = Literal["message", "tool_use", "tool_result", "usage", "result", "system", "stderr", "unknown"]
Outcome = Literal["success", "error", "stopped", "timeout", "stalled", "budget"]
ExitReason = Literal[
    "finished",  # the agent ended by itself, or was ended after its closing event
    "stopped",  # somebody asked for it: `ExitRecord.detail` says who or why
    "wall_timeout",  # `AgentJob.wall_seconds` were over
    "stall_timeout",  # no output for `AgentJob.stall_seconds`
    "limit",  # too many processes or too much memory in the sandbox
    "disk_full",  # what the agent said could not be spooled
    "launch_failed",  # the sandbox or the agent's program could not be started
    "lost",  # the supervisor itself died (host restart, out of memory)
]


@dataclass(frozen=True)
class ReadOnlyBind:
    """A file or directory of the host that the agent sees, read-only, at `target`."""

    source: str
    target: str


@dataclass(frozen=True)
class AgentJob:
    """One agent process to run: what `supervisor.launch` needs.

    `run_token`, `env` and `prompt` reach the agent through its environment and its standard input only:
    never through argv, a file or a log.
    """

    run_id: int
    agent: str
    model: str
    prompt: str
    system_prompt: str | None
    workspace: str
    run_dir: str
    gateway_socket: str
    run_token: str = field(repr=False)
    base_url: str
    max_turns: int
    wall_seconds: int
    stall_seconds: int
    max_output_tokens: int | None = None  # of one answer; None: as the agent likes
    env: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    read_only: tuple[ReadOnlyBind, ...] = ()


@dataclass(frozen=True)
class SpoolRecord:
    """One line of output. `seq` counts from 1 without gaps; `at` is an ISO 8601 instant in UTC."""

    seq: int
    at: str
    stream: SpoolStream
    text: str


@dataclass(frozen=True)
class ExitRecord:
    """How the agent's process ended; `exit.json` in the run's directory."""

    reason: ExitReason
    exit_code: int | None
    closing_event: bool
    started_at: str
    ended_at: str
    detail: str = ""


@dataclass(frozen=True)
class AgentEvent:
    """One thing the agent said or did; `data` keeps the line as the CLI wrote it."""

    kind: EventKind
    text: str
    data: Mapping[str, Any]
    at: datetime


@dataclass(frozen=True)
class AgentResult:
    outcome: Outcome
    text: str
    exit_code: int | None
    turns: int
    api_status: int | None = None  # HTTP status of the model's answer that ended the run


@dataclass(frozen=True)
class Workspace:
    """The files of one run. `path` is the agent's to change; `git_dir` and `cache_dir` never are.

    `read_only` is what an `AgentJob` must bind for the agent's own throw-away git directory to work. `remarks` say
    to people what of the repository the files lack.
    """

    path: str
    git_dir: str
    cache_dir: str
    branch: str
    base_sha: str
    read_only: tuple[ReadOnlyBind, ...] = ()
    remarks: tuple[str, ...] = ()


@dataclass(frozen=True)
class CommitOutcome:
    """What `workspace.commit_all` made: `head_sha` is None when the agent changed nothing.

    `restored_paths` are files that steer agents or git and were put back as they are in the base commit.
    """

    head_sha: str | None
    changed_paths: tuple[str, ...] = ()
    restored_paths: tuple[str, ...] = ()


@dataclass(frozen=True)
class Diff:
    """`text` holds at most the asked number of bytes; the counts are of the whole difference."""

    text: str
    truncated: bool
    files: int
    insertions: int
    deletions: int


@dataclass(frozen=True)
class Finding:
    """Why a diff may not be published as it is. `excerpt` never shows a secret in full."""

    kind: Literal["secret", "workflow_file", "large_file", "symlink", "unsearched"]
    path: str
    line: int | None
    excerpt: str
