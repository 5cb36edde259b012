"""What the process list of this machine says: evidence from outside the code under test."""

import contextlib
import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from agent_runs import spool
from agent_runs.supervisor.plan import Plan, encode_plan


def command_lines() -> dict[int, str]:
    found: dict[int, str] = {}
    for path in Path("/proc").iterdir():
        if path.name.isdigit():
            try:
                found[int(path.name)] = (path / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
            except OSError:
                continue
    return found


def pids_with(words: str) -> list[int]:
    return sorted(pid for pid, line in command_lines().items() if words in line)


def agents_with(token: str) -> list[int]:
    """Agents that carry this run token, which is in no command line; other tests run agents at the same time.

    Without their copies: what an agent starts looks like itself until it is another program.
    """
    parents = {}
    for pid, line in command_lines().items():
        with contextlib.suppress(OSError):
            if line.startswith("/opt/agent/") and token.encode() in Path(f"/proc/{pid}/environ").read_bytes():
                parents[pid] = _parent(pid)
    return sorted(pid for pid, parent in parents.items() if parent not in parents)


def _parent(pid: int) -> int:
    # The name before it stands in brackets and may hold anything.
    return int(Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[1])


def wait_until(condition: Callable[[], bool], seconds: float = 60) -> float:
    """Seconds that it took until `condition` held; fails the test when it never does."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not so after {seconds} seconds")
        time.sleep(0.01)
    return time.monotonic() - started


def wait_for_line(run_dir: str, text: str) -> None:
    wait_until(lambda: text in [record.text for record in spool.read_from(run_dir, 0)[0]])


_LAUNCHER = """
import signal, sys
from agent_runs import supervisor
from agent_runs.supervisor.plan import decode_plan
supervisor.start(sys.argv[1], decode_plan(sys.stdin.buffer.read()))
print("launched", flush=True)
signal.pause()
"""


def launch_and_kill_the_launcher(run_dir: str, plan: Plan) -> None:
    """A process of its own starts the agent and is killed with its whole group."""
    with subprocess.Popen(
        [sys.executable, "-c", _LAUNCHER, run_dir],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    ) as launcher:
        assert launcher.stdin is not None
        assert launcher.stdout is not None
        try:
            launcher.stdin.write(encode_plan(plan))
            launcher.stdin.close()
            assert launcher.stdout.readline() == b"launched\n"
        finally:
            os.killpg(launcher.pid, signal.SIGKILL)
