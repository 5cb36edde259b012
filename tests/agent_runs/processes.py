"""What the process list of this machine says: evidence from outside the code under test."""

import time
from collections.abc import Callable
from pathlib import Path

from agent_runs import spool


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


def wait_until(condition: Callable[[], bool], seconds: float = 20) -> float:
    """Seconds that it took until `condition` held; fails the test when it never does."""
    started = time.monotonic()
    while not condition():
        if time.monotonic() - started > seconds:
            raise AssertionError(f"not so after {seconds} seconds")
        time.sleep(0.01)
    return time.monotonic() - started


def wait_for_line(run_dir: str, text: str) -> None:
    wait_until(lambda: text in [record.text for record in spool.read_from(run_dir, 0)[0]])
