"""What the process list says about a stack, and a watcher that counts agents while a case runs."""

import os
import threading
import time
from dataclasses import dataclass
from pathlib import Path

WATCH_SECONDS = 0.05
# A sandbox mounts its files a moment after its process is born.
_SETTLED_SECONDS = 3.0


@dataclass(frozen=True)
class Process:
    pid: int
    command: str


def _pids() -> list[int]:
    return [int(name) for name in os.listdir("/proc") if name.isdigit()]


def _read(pid: int, name: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/{name}").read_bytes()
    except OSError:  # it ended while we looked, or belongs to somebody else
        return b""


def command_of(pid: int) -> str:
    return _read(pid, "cmdline").replace(b"\0", b" ").decode(errors="replace")


def device_of(path: Path) -> bytes:
    """The file system of `path` as a line of mountinfo names it: a bind mount there tells only the path below it."""
    device = path.stat().st_dev
    return f" {os.major(device)}:{os.minor(device)} ".encode()


def processes_of(directory: Path, own_disk: bytes = b"") -> list[Process]:
    """Processes that know the directory by their arguments, their environment, or a file system that they mounted.

    `own_disk` is the device of a file system that nobody else has mounted.
    """
    words = str(directory).encode()
    found = []
    for pid in _pids():
        if pid == os.getpid():
            continue
        command = _read(pid, "cmdline")
        mounts = _read(pid, "mountinfo")
        is_inside = words in mounts or bool(own_disk and own_disk in mounts)
        if command and (is_inside or words in command + _read(pid, "environ")):
            found.append(Process(pid, command.replace(b"\0", b" ").decode(errors="replace")))
    return found


def parent_of(pid: int) -> int:
    fields = _read(pid, "stat").rpartition(b")")[2].split()
    return int(fields[1]) if len(fields) > 1 else 0


def children_of(pid: int) -> list[Process]:
    return [Process(child, command_of(child)) for child in _pids() if parent_of(child) == pid]


def descendants_of(pid: int) -> list[Process]:
    """Below `up` by descent: its children overwrite their environment with their title."""
    return [Process(below, command_of(below)) for below in _pids() if below != pid and descends_from(below, pid)]


def descends_from(pid: int, ancestor: int) -> bool:
    while pid > 1:
        if pid == ancestor:
            return True
        pid = parent_of(pid)
    return False


class AgentWatch:
    """Counts, many times a second, the sandboxes in which an agent works on a run: one process namespace each."""

    def __init__(self, runs: Path) -> None:
        self._disk = device_of(runs)
        self._run_id = 0
        self._most = 0
        self._ever: set[str] = set()
        self._strangers: dict[int, float] = {}
        self._ended = threading.Event()
        self._thread = threading.Thread(target=self._watch, daemon=True)
        self._thread.start()

    def begin(self, run_id: int) -> None:
        self._run_id, self._most, self._ever = run_id, 0, set()

    @property
    def most_at_once(self) -> int:
        return self._most

    @property
    def in_all(self) -> int:
        return len(self._ever)

    def stop(self) -> None:
        self._ended.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._ended.wait(WATCH_SECONDS):
            if self._run_id:
                now = self._namespaces(f"/{self._run_id}/workspace ".encode())
                self._most = max(self._most, len(now))
                self._ever |= now

    def _namespaces(self, workspace: bytes) -> set[str]:
        found: set[str] = set()
        pids = set(_pids())
        self._strangers = {pid: seen for pid, seen in self._strangers.items() if pid in pids}
        for pid in pids:
            if time.monotonic() - self._strangers.get(pid, time.monotonic()) > _SETTLED_SECONDS:
                continue
            if b"claude" in _read(pid, "cmdline") and self._has_mounted(pid, workspace):
                found.add(_namespace(pid))
            else:
                self._strangers.setdefault(pid, time.monotonic())
        return found - {""}

    def _has_mounted(self, pid: int, workspace: bytes) -> bool:
        lines = _read(pid, "mountinfo").splitlines()
        return any(self._disk in line and workspace in line for line in lines)


def _namespace(pid: int) -> str:
    try:
        own, theirs = os.readlink("/proc/self/ns/pid"), os.readlink(f"/proc/{pid}/ns/pid")
    except OSError:
        return ""
    return "" if own == theirs else theirs
