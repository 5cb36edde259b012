"""Bounds that the kernel does not hold for us: it exempts root from the limit on processes, and no resource limit
counts the memory of a whole tree."""

import contextlib
import os
from pathlib import Path

from agent_runs.sandbox.process import parents

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def descendants(pid: int) -> list[int]:
    """Every process below `pid`: all of a sandbox, because orphans inside it fall to its first process."""
    children: dict[int, list[int]] = {}
    for child, parent in parents().items():
        children.setdefault(parent, []).append(child)
    found, waiting = [], [pid]
    while waiting:
        below = children.get(waiting.pop(), [])
        found += below
        waiting += below
    return found


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def breached_limit(init_pid: int, process_limit: int, memory_limit_bytes: int) -> str | None:
    """A sentence about the limit that the sandbox has passed, or None."""
    inside = descendants(init_pid)
    if len(inside) > process_limit:
        return f"More than {process_limit} processes in the sandbox."
    if sum(map(_resident_bytes, inside)) > memory_limit_bytes:
        return f"More than {memory_limit_bytes // 1024**2} MiB of memory in the sandbox."
    return None
