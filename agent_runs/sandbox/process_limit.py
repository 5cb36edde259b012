"""How many processes one sandbox may have, held by the kernel also where the host's root runs it.

RLIMIT_NPROC (agent_runs.sandbox.process) counts per user and never stops root. As root, the sandbox's first process
goes into a control group of its own with `pids.max`, before the agent is let go; without one, the supervisor's watch
over the process count still ends a run, only later.
"""

import contextlib
import os
from pathlib import Path

# Above the number at which the supervisor ends the run (512), so that it sees the breach and says why.
MAX_PROCESSES = 640
_PREFIX = "paid-sandbox-"
# Version 1 mounts a hierarchy per controller, version 2 has one for all.
_HIERARCHIES = (Path("/sys/fs/cgroup/pids"), Path("/sys/fs/cgroup"))


def hold_processes(init_pid: int) -> bool:
    """Bound the processes of the sandbox whose first one is `init_pid`. False where this host offers no such group."""
    if os.geteuid() != 0:
        return False
    return any(_hold(hierarchy, init_pid) for hierarchy in _HIERARCHIES)


def _hold(hierarchy: Path, init_pid: int) -> bool:
    group = hierarchy / f"{_PREFIX}{init_pid}"
    _remove_empty(hierarchy)
    try:
        group.mkdir()
    except OSError:
        return False
    try:
        (group / "pids.max").write_text(str(MAX_PROCESSES))
        (group / "cgroup.procs").write_text(str(init_pid))
    except OSError:
        with contextlib.suppress(OSError):
            group.rmdir()
        return False
    return True


def _remove_empty(hierarchy: Path) -> None:
    """Groups of ended sandboxes. The kernel refuses to remove one that has a process."""
    for group in hierarchy.glob(f"{_PREFIX}*"):
        # A group just made by another start has its process's number as name: leave it while that process lives.
        if Path(f"/proc/{group.name.removeprefix(_PREFIX)}").exists():
            continue
        with contextlib.suppress(OSError):
            group.rmdir()
