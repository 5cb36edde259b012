"""Start a program in the sandbox. Single-threaded callers and threads alike: nothing runs between fork and exec."""

from __future__ import annotations

import array
import contextlib
import fcntl
import json
import os
import resource
import select
import signal
import subprocess
import termios
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agent_runs.sandbox.arguments import SandboxSpec, base_environment, bubblewrap_arguments
from agent_runs.sandbox.binaries import bubblewrap_program
from agent_runs.sandbox.errors import SandboxUnavailable
from agent_runs.sandbox.process_limit import hold_processes
from agent_runs.sandbox.seccomp import filter_program

_GIBIBYTE = 1024**3
_SET_UP_SECONDS = 10.0
# It fails at once, or hangs and has said all it has to say.
_WORDS_SECONDS, _WORDS_BYTES = 5.0, 4096

# No limit on address space: a JavaScript runtime reserves 10 GB of it and touches little.
_LIMITS = (
    (resource.RLIMIT_CORE, 0),
    (resource.RLIMIT_NOFILE, 16_384),
    (resource.RLIMIT_NPROC, 2_048),
    (resource.RLIMIT_FSIZE, 8 * _GIBIBYTE),
)


@dataclass
class SealedProcess:
    """`process` is bubblewrap outside; `init_pid` is the first process of the sandbox, as the host numbers it."""

    process: subprocess.Popen[bytes]
    init_pid: int

    def kill(self) -> None:
        """End everything inside at once: a PID namespace dies with its first process."""
        with contextlib.suppress(ProcessLookupError):
            os.kill(self.init_pid, signal.SIGKILL)

    def agent_pid(self) -> int | None:
        """The program itself: the one child of the sandbox's first process that was there from the beginning."""
        children = child_pids(self.init_pid)
        return children[0] if children else None


@dataclass(frozen=True)
class SealedResult:
    exit_code: int
    stdout: bytes
    stderr: bytes


def child_pids(pid: int) -> list[int]:
    """Children of a process with one thread, such as bubblewrap, oldest first."""
    try:
        return [int(child) for child in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    except OSError:
        return []


def in_memory(name: str, content: bytes) -> int:
    descriptor = os.memfd_create(name, 0)
    view = memoryview(content)
    while view:
        view = view[os.write(descriptor, view) :]
    os.lseek(descriptor, 0, os.SEEK_SET)
    return descriptor


def _limit(pid: int) -> None:
    for kind, value in _LIMITS:
        _, hard = resource.prlimit(pid, kind)
        bounded = value if hard == resource.RLIM_INFINITY else min(value, hard)
        resource.prlimit(pid, kind, (bounded, bounded))
    with contextlib.suppress(OSError):
        # When processors are short, the supervisor's clocks go before the agent's work.
        os.setpriority(os.PRIO_PROCESS, pid, 5)
        # When memory runs out, the agent goes before the database does.
        Path(f"/proc/{pid}/oom_score_adj").write_text("500")


def _read_init_pid(descriptor: int, process: subprocess.Popen[bytes]) -> int:
    """Wait for bubblewrap's report. Raises SandboxUnavailable with its words when there is none."""
    text, deadline = b"", time.monotonic() + _SET_UP_SECONDS
    while time.monotonic() < deadline:
        if not select.select([descriptor], [], [], 0.5)[0]:
            continue
        chunk = os.read(descriptor, 4096)
        text += chunk
        if not chunk:
            break
        with contextlib.suppress(ValueError):
            return int(json.loads(text)["child-pid"])
    raise _failure(process)


def _wait_until_released(block_read: int, process: subprocess.Popen[bytes]) -> None:
    """Bubblewrap takes the byte when the room is ready, just before the program: a failure until then is its own.

    Its report of the first process comes earlier, before anything is mounted.
    """
    deadline = time.monotonic() + _SET_UP_SECONDS
    while time.monotonic() < deadline:
        waiting = array.array("i", [0])
        fcntl.ioctl(block_read, termios.FIONREAD, waiting)
        if not waiting[0]:
            return
        if process.poll() is not None:
            break
        time.sleep(0.001)
    raise _failure(process)


def _failure(process: subprocess.Popen[bytes]) -> SandboxUnavailable:
    """Hears bubblewrap out, then ends it. Its child may not have come yet to where it dies with bubblewrap."""
    words = _last_words(process.stderr.fileno()) if process.stderr else ""
    below = child_pids(process.pid)
    process.kill()
    for pid in below:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)
    process.wait()
    return SandboxUnavailable(words or "bubblewrap did not report that the sandbox stands.")


def _last_words(descriptor: int) -> str:
    """What comes until the end, and is not waited for longer than a moment: a child may hold the pipe open."""
    text, deadline = b"", time.monotonic() + _WORDS_SECONDS
    while len(text) < _WORDS_BYTES and select.select([descriptor], [], [], max(deadline - time.monotonic(), 0))[0]:
        chunk = os.read(descriptor, _WORDS_BYTES)
        if not chunk:
            break
        text += chunk
    return text.decode(errors="replace").strip()


def start_sealed(
    spec: SandboxSpec,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    files: Mapping[str, str] | None = None,
    stdin: int | IO[bytes] = subprocess.PIPE,
    bubblewrap: str | None = None,
) -> SealedProcess:
    """Start `argv` in a sandbox; its output comes by pipes. Raises SandboxUnavailable.

    Arguments and environment reach bubblewrap through a memory file: the host's process list and /proc/1 inside
    show neither. `files` (target → text) exist only inside, read-only.
    """
    descriptors: list[int] = []

    def keep(descriptor: int) -> int:
        descriptors.append(descriptor)
        return descriptor

    try:
        info_read, info_write = os.pipe()
        block_read, block_write = os.pipe()
        descriptors += [info_read, info_write, block_read, block_write]
        seccomp = keep(in_memory("seccomp", filter_program()))
        data = {target: keep(in_memory("file", text.encode())) for target, text in (files or {}).items()}
        arguments = bubblewrap_arguments(spec, data)
        arguments += ["--seccomp", str(seccomp), "--info-fd", str(info_write), "--block-fd", str(block_read)]
        for name, value in (base_environment() | dict(environment or {})).items():
            arguments += ["--setenv", name, value]
        listed = keep(in_memory("arguments", "\0".join([*arguments, ""]).encode()))
        process = subprocess.Popen(
            [bubblewrap or bubblewrap_program(), "--args", str(listed), "--", *argv],
            stdin=stdin,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            pass_fds=[info_write, block_read, seccomp, listed, *data.values()],
            env={},
            cwd="/",
        )
        os.close(info_write)
        descriptors.remove(info_write)
        init_pid = _read_init_pid(info_read, process)
        try:
            _limit(init_pid)
            hold_processes(init_pid)
        except (ProcessLookupError, FileNotFoundError):
            # It reported its first process, and failed at a mount since: its own words say why.
            raise _failure(process) from None
        os.write(block_write, b"\0")
        _wait_until_released(block_read, process)
        return SealedProcess(process, init_pid)
    finally:
        for descriptor in descriptors:
            os.close(descriptor)


def run_sealed(
    spec: SandboxSpec,
    argv: Sequence[str],
    *,
    environment: Mapping[str, str] | None = None,
    stdin: bytes = b"",
    timeout_seconds: float = 60,
) -> SealedResult:
    """Run a short command in a sandbox and wait for it. Raises SandboxUnavailable and subprocess.TimeoutExpired."""
    sealed = start_sealed(spec, argv, environment=environment)
    try:
        stdout, stderr = sealed.process.communicate(stdin, timeout=timeout_seconds)
    except subprocess.TimeoutExpired:
        sealed.kill()
        sealed.process.communicate()
        raise
    return SealedResult(sealed.process.returncode, stdout, stderr)
