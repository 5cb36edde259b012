"""Bounds that the kernel does not hold for us: it exempts root from the limit on processes, and no resource limit
counts the memory of a whole tree."""

import contextlib
import os
from pathlib import Path

_PAGE_BYTES = os.sysconf("SC_PAGE_SIZE")


def _children(pid: int) -> list[int]:
    found: list[int] = []
    with contextlib.suppress(OSError):
        for thread in os.listdir(f"/proc/{pid}/task"):
            found += map(int, Path(f"/proc/{pid}/task/{thread}/children").read_text().split())
    return found


def descendants(pid: int, limit: int) -> list[int]:
    """Processes below `pid`, at least `limit` of them when there are more.

    That is all of a sandbox, because orphans inside it fall to its first process. A walk down from there stays
    quick when a fork bomb has made a look at the whole process list slow.
    """
    found: list[int] = []
    waiting = [pid]
    while waiting and len(found) < limit:
        below = _children(waiting.pop())
        found += below
        waiting += below
    return found


def _resident_bytes(pid: int) -> int:
    with contextlib.suppress(OSError, IndexError):
        return int(Path(f"/proc/{pid}/statm").read_text().split()[1]) * _PAGE_BYTES
    return 0


def breached_limit(init_pid: int, process_limit: int, memory_limit_bytes: int) -> str | None:
    """A sentence about the limit that the sandbox has passed, or None."""
    inside = descendants(init_pid, process_limit + 1)
    if len(inside) > process_limit:
        return f"More than {process_limit} processes in the sandbox."
    if sum(map(_resident_bytes, inside)) > memory_limit_bytes:
        return f"More than {memory_limit_bytes // 1024**2} MiB of memory in the sandbox."
    return None
