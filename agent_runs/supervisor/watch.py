"""The supervisor's loop: read, spool, look at clocks and limits, end the agent when it is time."""

import contextlib
import json
import os
import selectors
import signal
import time
from datetime import UTC, datetime
from pathlib import Path

from agent_runs.contracts import ExitReason, ExitRecord, SpoolStream
from agent_runs.sandbox import SandboxUnavailable, start_sealed
from agent_runs.sandbox.process import SealedProcess, in_memory
from agent_runs.spool import LineFramer, SpoolFailed, SpoolWriter
from agent_runs.supervisor import files
from agent_runs.supervisor.guard import breached_limit
from agent_runs.supervisor.plan import Plan

_TICK_SECONDS = 0.1
_GUARD_SECONDS = 0.25
_DRAIN_SECONDS = 1.0


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Watch:
    def __init__(self, run_dir: str, plan: Plan) -> None:
        self._run_dir = run_dir
        self._plan = plan
        self._spool = SpoolWriter(run_dir, plan.spool_limit_bytes)
        self._selector = selectors.DefaultSelector()
        self._framers: dict[SpoolStream, LineFramer] = {"stdout": LineFramer(), "stderr": LineFramer()}
        self._secrets = [secret.encode() for secret in plan.secrets if secret]
        self._sealed: SealedProcess | None = None
        self._started_at = _now()
        self._started = self._last_output = self._last_guard = time.monotonic()
        self._reason: ExitReason = "finished"
        self._detail = ""
        self._kill_at: float | None = None
        self._has_closed = False
        self._signal: int | None = None

    def begin(self) -> None:
        """Start the agent. When that fails the run is over, and `run` has nothing to do."""
        signal.signal(signal.SIGTERM, self._on_signal)
        state = {"pid": os.getpid(), "started_at": self._started_at}
        files.write_atomically(Path(self._run_dir) / files.STATE, json.dumps(state) + "\n")
        files.reserve_room(self._run_dir)
        prompt = in_memory("prompt", self._plan.prompt.encode())
        try:
            self._sealed = start_sealed(
                self._plan.spec,
                self._plan.argv,
                environment=dict(self._plan.environment),
                files=dict(self._plan.files),
                stdin=prompt,
                bubblewrap=self._plan.bubblewrap,
            )
        except (SandboxUnavailable, OSError, KeyError) as error:
            self._reason, self._detail = "launch_failed", str(error)
            return
        finally:
            os.close(prompt)
        for stream, pipe in (("stdout", self._sealed.process.stdout), ("stderr", self._sealed.process.stderr)):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
                self._selector.register(pipe, selectors.EVENT_READ, stream)

    def run(self) -> None:
        exit_code = None
        if self._sealed is not None:
            try:
                exit_code = self._watch(self._sealed)
            except SpoolFailed as failure:
                # An agent whose words are lost is paid for nothing.
                self._reason, self._detail = "disk_full", str(failure)
            finally:
                # Whatever went wrong in here, nothing of the agent stays behind.
                self._sealed.kill()
        if self._detail:
            with contextlib.suppress(SpoolFailed):
                self._spool.write("system", self._detail, essential=True)
        self._spool.close()
        ended = ExitRecord(self._reason, exit_code, self._has_closed, self._started_at, _now(), self._detail)
        files.write_exit(self._run_dir, ended)

    def _watch(self, sealed: SealedProcess) -> int:
        while sealed.process.poll() is None:
            self._read(_TICK_SECONDS)
            self._look_at_clocks(sealed)
            if self._kill_at is not None and time.monotonic() >= self._kill_at:
                sealed.kill()
        deadline = time.monotonic() + _DRAIN_SECONDS
        while self._selector.get_map() and time.monotonic() < deadline:
            self._read(_TICK_SECONDS)
        for stream, framer in self._framers.items():
            if rest := framer.rest():
                self._record(stream, rest)
        return sealed.process.returncode

    def _read(self, timeout_seconds: float) -> None:
        # Without pipes left there is nothing to wait on but the clock.
        if not self._selector.get_map():
            time.sleep(timeout_seconds)
            return
        for key, _ in self._selector.select(timeout_seconds):
            chunk = b""
            with contextlib.suppress(BlockingIOError):
                chunk = os.read(key.fd, 262_144)
            if not chunk:
                self._selector.unregister(key.fileobj)
                continue
            self._last_output = time.monotonic()
            stream: SpoolStream = key.data
            for line in self._framers[stream].feed(chunk):
                self._record(stream, line)

    def _record(self, stream: SpoolStream, line: bytes) -> None:
        for secret in self._secrets:
            line = line.replace(secret, b"[run token]")
        is_closing = stream == "stdout" and self._is_closing(line)
        self._spool.write(stream, line.decode("utf-8", errors="replace"), essential=is_closing)
        if is_closing and not self._has_closed:
            # The CLI may hang after its last word, or a grandchild may hold its output open: it gets a moment.
            self._has_closed = True
            self._kill_by(self._plan.closing_grace_seconds)

    def _is_closing(self, line: bytes) -> bool:
        if not any(f'"{kind}"'.encode() in line for kind in self._plan.closing_types):
            return False
        with contextlib.suppress(ValueError, RecursionError):
            event = json.loads(line)
            return isinstance(event, dict) and event.get("type") in self._plan.closing_types
        return False

    def _look_at_clocks(self, sealed: SealedProcess) -> None:
        if self._kill_at is not None:
            return
        now = time.monotonic()
        stop = Path(self._run_dir) / files.STOP
        if self._signal is not None:
            self._interrupt(sealed, "stopped", f"Stopped by signal {signal.Signals(self._signal).name}.")
        elif stop.exists():
            self._interrupt(sealed, "stopped", stop.read_text(encoding="utf-8", errors="replace"))
        elif now - self._started > self._plan.wall_seconds:
            self._interrupt(sealed, "wall_timeout", f"Longer than {self._plan.wall_seconds:g} seconds.")
        elif now - self._last_output > self._plan.stall_seconds:
            self._interrupt(sealed, "stall_timeout", f"No output for {self._plan.stall_seconds:g} seconds.")
        elif now - self._last_guard > _GUARD_SECONDS:
            self._last_guard = now
            if breach := breached_limit(sealed.init_pid, self._plan.process_limit, self._plan.memory_limit_bytes):
                self._reason, self._detail = "limit", breach
                sealed.kill()

    def _interrupt(self, sealed: SealedProcess, reason: ExitReason, detail: str) -> None:
        """Ask politely: an interrupted CLI still writes its last event; what does not listen is killed after."""
        self._reason, self._detail = reason, detail
        self._kill_by(self._plan.stop_grace_seconds)
        agent = sealed.agent_pid()
        if agent is None:
            sealed.kill()
            return
        with contextlib.suppress(ProcessLookupError):
            os.kill(agent, signal.SIGINT)

    def _kill_by(self, seconds: float) -> None:
        due = time.monotonic() + seconds
        self._kill_at = due if self._kill_at is None else min(self._kill_at, due)

    def _on_signal(self, number: int, _frame: object) -> None:
        self._signal = number
