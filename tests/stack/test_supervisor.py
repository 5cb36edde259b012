"""The supervisor on its own: order of stopping, restarts, and children that do not listen."""

import io
import os
import select
import sys
from pathlib import Path

from paid.stack.process import Program
from paid.stack.supervisor import Supervisor

POLITE = "import signal, sys, time; signal.signal(signal.SIGTERM, lambda *_: sys.exit(print('bye') or 0)); "
POLITE += "print('ready', flush=True); time.sleep(60)"
STUBBORN = "import signal, time; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('ready', flush=True); "
STUBBORN += "time.sleep(60)"


def program(name: str, code: str, stop_stage: int = 1) -> Program:
    return Program(name, (sys.executable, "-u", "-c", code), stop_stage)


def supervisor(directory: Path) -> tuple[Supervisor, io.StringIO]:
    console = io.StringIO()
    return Supervisor(directory, directory / "paid.log", {"PATH": "/usr/bin:/bin"}, console), console


def poll_until(supervisor: Supervisor, console: io.StringIO, text: str, count: int = 1) -> None:
    for _ in range(600):
        if console.getvalue().count(text) >= count:
            return
        supervisor.poll(0.05)
    raise AssertionError(f"{text!r} did not come {count} times:\n{console.getvalue()}")


def ends_within_seconds(pid: int, seconds: float) -> bool:
    try:
        descriptor = os.pidfd_open(pid)
    except ProcessLookupError:
        return True
    try:
        return select.select([descriptor], [], [], seconds)[0] == [descriptor]
    finally:
        os.close(descriptor)


def test_stages_are_stopped_one_after_the_other(tmp_path: Path):
    running, console = supervisor(tmp_path)
    for name, stage in (("late", 2), ("early", 1)):
        running.start(program(name, POLITE, stage))
    poll_until(running, console, "ready", 2)
    running.stop()
    said = [line.split()[1] for line in console.getvalue().splitlines() if line.endswith("| bye")]
    assert said == ["early", "late"]


def test_a_program_that_ends_is_started_again_after_a_growing_pause(tmp_path: Path):
    running, console = supervisor(tmp_path)
    running.start(program("fragile", "print('here'); raise SystemExit(7)"))
    poll_until(running, console, "here", 3)
    running.stop()
    pauses = [line.rsplit(" in ", 1)[1] for line in console.getvalue().splitlines() if "started again" in line]
    assert pauses[:2] == ["0.5 s", "1 s"]
    assert "fragile ended with exit code 7; it is started again in 0.5 s" in console.getvalue()


def test_what_ignores_the_polite_signal_is_killed(tmp_path: Path, monkeypatch):
    monkeypatch.setattr("paid.stack.supervisor.GRACE_SECONDS", 0.2)
    running, console = supervisor(tmp_path)
    running.start(program("deaf", STUBBORN))
    poll_until(running, console, "ready")
    running.stop()
    assert "deaf did not stop in 0 s and is killed" in console.getvalue()


def test_every_line_is_in_the_log_with_moment_and_name(tmp_path: Path):
    running, console = supervisor(tmp_path)
    running.start(program("talker", "print('first\\nsecond', flush=True); import time; time.sleep(60)"))
    poll_until(running, console, "second")
    running.stop()
    lines = (tmp_path / "paid.log").read_text().splitlines()
    assert [line[27:] for line in lines] == [" talker    | first", " talker    | second"]


def test_what_a_dead_program_left_of_its_group_dies_before_its_successor_starts(tmp_path: Path):
    running, console = supervisor(tmp_path)
    code = "import os, subprocess; print(subprocess.Popen(['sleep', '60']).pid, flush=True); os._exit(1)"
    running.start(program("parent", code))
    poll_until(running, console, "ended with exit code 1")
    orphan = int(next(line for line in console.getvalue().splitlines() if " parent " in line).rsplit(" ", 1)[1])
    assert ends_within_seconds(orphan, 5)
    running.stop()
