"""Ask about supervisors and steer them from any process of this host."""

import errno
import time
from pathlib import Path

from agent_runs.contracts import ExitRecord
from agent_runs.supervisor import files

# Below a run's directory: one directory for each command that checks its commit, supervised like the agent.
CHECKS = "checks"


def is_alive(run_dir: str) -> bool:
    return files.is_locked(run_dir)


def read_exit(run_dir: str) -> ExitRecord | None:
    """How the run ended, or None while it has not."""
    content = files.read_json(run_dir, files.EXIT)
    return ExitRecord(**content) if content else None


def request_stop(run_dir: str, reason: str) -> None:
    """Ask the agent to end: interrupted first, killed after a grace, gone in under five seconds.

    A request that comes before the launch holds: the agent is then ended as soon as it starts.
    """
    Path(run_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    try:
        files.write_atomically(Path(run_dir) / files.STOP, reason)
    except OSError as error:
        if error.errno != errno.ENOSPC:
            raise
        (Path(run_dir) / files.STOP).touch(0o600)  # on a full disk the request counts, not its words


def list_live(runs_dir: str) -> list[str]:
    """Directories under `runs_dir` whose supervisor lives: of agents, and of the checks of their commits."""
    root = Path(runs_dir)
    if not root.is_dir():
        return []
    return [found for path in sorted(root.iterdir()) if path.is_dir() for found in live_in(str(path))]


def live_in(run_dir: str) -> list[str]:
    """The run's directory, and those of its checks, as far as their supervisors live."""
    checks = Path(run_dir) / CHECKS
    below = sorted(path for path in checks.iterdir() if path.is_dir()) if checks.is_dir() else []
    return [str(path) for path in (Path(run_dir), *below) if is_alive(str(path))]


def stop_all(runs_dir: str, reason: str, timeout_seconds: float = 8) -> list[str]:
    """Stop every agent under `runs_dir` and wait; returns those that still live afterwards (none, normally)."""
    live = list_live(runs_dir)
    for run_dir in live:
        request_stop(run_dir, reason)
    deadline = time.monotonic() + timeout_seconds
    while live and time.monotonic() < deadline:
        time.sleep(0.05)
        live = [run_dir for run_dir in live if is_alive(run_dir)]
    return live
