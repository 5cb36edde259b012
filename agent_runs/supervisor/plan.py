"""What the launcher tells the supervisor, through its standard input: it never touches a disk."""

import json
from dataclasses import asdict, dataclass, field
from typing import Any

from agent_runs.contracts import ReadOnlyBind
from agent_runs.sandbox import SandboxSpec

_GIBIBYTE = 1024**3


@dataclass(frozen=True)
class Plan:
    """`closing_types` are the `type`s of the JSON line after which the agent has nothing more to say.

    `bubblewrap` is found by the launcher: the supervisor sees no installed package. `secrets` are struck out of
    everything that is spooled.
    """

    spec: SandboxSpec
    argv: tuple[str, ...]
    prompt: str = field(repr=False)
    bubblewrap: str
    environment: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    files: tuple[tuple[str, str], ...] = field(default=(), repr=False)
    secrets: tuple[str, ...] = field(default=(), repr=False)
    closing_types: tuple[str, ...] = ()
    wall_seconds: float = 3600
    stall_seconds: float = 600
    stop_grace_seconds: float = 3.5
    closing_grace_seconds: float = 2.0
    spool_limit_bytes: int = 128 * 1024 * 1024
    process_limit: int = 512
    memory_limit_bytes: int = 8 * _GIBIBYTE


def encode_plan(plan: Plan) -> bytes:
    return json.dumps(asdict(plan)).encode()


def _pairs(values: list[list[str]]) -> tuple[tuple[str, str], ...]:
    return tuple((first, second) for first, second in values)


def decode_plan(content: bytes) -> Plan:
    values: dict[str, Any] = json.loads(content)
    spec = dict(values.pop("spec"))
    spec["read_only"] = tuple(ReadOnlyBind(**bind) for bind in spec["read_only"])
    spec["writable"] = _pairs(spec["writable"])
    for name in ("environment", "files"):
        values[name] = _pairs(values[name])
    for name in ("argv", "secrets", "closing_types"):
        values[name] = tuple(values[name])
    return Plan(spec=SandboxSpec(**spec), **values)
