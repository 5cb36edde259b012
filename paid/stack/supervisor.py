"""Runs the processes of Paid under one readable log, restarts what dies, stops all in order.

One thread, one selector: children die with the thread that started them, so it must be the main one.
"""

import os
import selectors
import signal
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import IO

from paid.stack.process import Process, Program, start

GRACE_SECONDS = 10.0
BACK_OFF_SECONDS = (0.5, 1.0, 2.0, 5.0, 10.0, 30.0)
# A child that lived this long had started well: its next restart is quick again.
SETTLED_SECONDS = 60.0
_COLOURS = (36, 35, 34, 33, 32, 96)


@dataclass
class _Child:
    program: Program
    colour: int
    process: Process | None = None
    output: int | None = None
    started_at: float = 0.0
    failures: int = 0
    restart_at: float | None = None
    rest: bytes = field(default=b"", repr=False)


class Supervisor:
    def __init__(
        self,
        directory: Path,
        log: Path,
        environment: Mapping[str, str],
        console: IO[str],
        before_fork: Callable[[], None] = lambda: None,
    ) -> None:
        """`before_fork` leaves nothing behind that a forked child could not use, such as open connections."""
        log.parent.mkdir(parents=True, exist_ok=True)
        self._directory = directory
        self._log = log.open("a", encoding="utf-8")
        self._environment = dict(environment)
        self._console = console
        self._before_fork = before_fork
        self._children: list[_Child] = []
        self._selector = selectors.DefaultSelector()
        self._stopping = False

    def start(self, program: Program) -> None:
        child = _Child(program, _COLOURS[len(self._children) % len(_COLOURS)])
        self._children.append(child)
        self._spawn(child)

    def poll(self, timeout_seconds: float) -> None:
        """Pass on what the children print, and restart those that ended."""
        for key, _ in self._selector.select(timeout_seconds):
            self._read(key.data)
        for child in self._children:
            if child.process is not None and child.process.poll() is not None:
                self._ended(child)
            if child.restart_at is not None and time.monotonic() >= child.restart_at and not self._stopping:
                self._spawn(child)

    def say(self, text: str) -> None:
        self._write("paid", 37, text)

    def stop(self) -> None:
        """Stop every stage in turn: ask, wait, kill what is left of each process group. Safe to call twice."""
        self._stopping = True
        for stage in sorted({child.program.stop_stage for child in self._children}):
            self.stop_stage(stage)

    def stop_stage(self, stage: int) -> None:
        self._stopping = True
        children = [child for child in self._children if child.program.stop_stage == stage]
        for child in children:
            child.restart_at = None
            if child.process is not None:
                self._signal(child.process, signal.SIGTERM)
        deadline = time.monotonic() + GRACE_SECONDS
        while any(child.process is not None for child in children) and time.monotonic() < deadline:
            self.poll(0.05)
        for child in children:
            if child.process is not None:
                self.say(f"{child.program.name} did not stop in {GRACE_SECONDS:.0f} s and is killed")
                self._signal(child.process, signal.SIGKILL)
                child.process.wait()
                self._ended(child)

    def kill(self) -> None:
        """For a second Ctrl-C: no more waiting."""
        for child in self._children:
            if child.process is not None:
                self._signal(child.process, signal.SIGKILL)

    def _spawn(self, child: _Child) -> None:
        child.restart_at = None
        child.started_at = time.monotonic()
        self._before_fork()
        child.process = start(child.program, self._directory, self._environment)
        child.output = child.process.output
        self._selector.register(child.output, selectors.EVENT_READ, child)

    def _ended(self, child: _Child) -> None:
        process, child.process = child.process, None
        if process is None:
            return
        self._read(child)
        self._close_output(child)
        # What it left of its own group (a pool's worker, beat) must not meet its successor.
        self._signal(process, signal.SIGKILL)
        if self._stopping:
            return
        settled = time.monotonic() - child.started_at > SETTLED_SECONDS
        child.failures = 1 if settled else child.failures + 1
        wait = BACK_OFF_SECONDS[min(child.failures, len(BACK_OFF_SECONDS)) - 1]
        child.restart_at = time.monotonic() + wait
        self.say(f"{child.program.name} {_how(process.returncode or 0)}; it is started again in {wait:g} s")

    def _read(self, child: _Child) -> None:
        """Pass on what is there. At the end of its output the pipe is closed, though the child may live on."""
        output = child.output
        if output is None:
            return
        try:
            block = os.read(output, 65536)
        except BlockingIOError:
            return
        *lines, child.rest = (child.rest + block).split(b"\n")
        for line in lines:
            self._write(child.program.name, child.colour, line.decode(errors="replace").rstrip())
        if not block:
            self._close_output(child)

    def _close_output(self, child: _Child) -> None:
        if child.output is not None:
            self._selector.unregister(child.output)
            os.close(child.output)
            child.output = None
            child.rest = b""

    def _write(self, name: str, colour: int, text: str) -> None:
        moment = datetime.now(UTC)
        self._log.write(f"{moment:%Y-%m-%dT%H:%M:%S.%f}Z {name:<9} | {text}\n")
        self._log.flush()
        prefix = f"{moment:%H:%M:%S} {name:<9} |"
        if self._console.isatty():
            prefix = f"\x1b[{colour}m{prefix}\x1b[0m"
        self._console.write(f"{prefix} {text}\n")
        self._console.flush()

    @staticmethod
    def _signal(process: Process, number: signal.Signals) -> None:
        """To the whole group for SIGKILL; a polite signal goes to its leader, which knows its own children."""
        try:
            if number == signal.SIGKILL:
                os.killpg(process.pid, number)
            else:
                os.kill(process.pid, number)
        except ProcessLookupError:
            return


def _how(returncode: int) -> str:
    if returncode < 0:
        return f"was ended by {signal.Signals(-returncode).name}"
    return f"ended with exit code {returncode}"
