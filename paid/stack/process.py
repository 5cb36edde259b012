"""One child process of the supervisor: forked with everything already imported, or another program executed."""

import ctypes
import os
import signal
import sys
import traceback
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import NoReturn

from setproctitle import getproctitle, setproctitle

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)
# The first call finds the memory of argv by walking back from the environment: it must come before anything
# replaces a variable that the process was started with.
getproctitle()


@dataclass(frozen=True)
class Program:
    """What to run. Programs of a lower `stop_stage` are stopped first, those of one stage together.

    With `main` the process is a fork of the supervisor: six processes then import Django and Temporal once, which is
    most of a start. It is listed under `argv`, the command that would start the same by hand.
    """

    name: str
    argv: tuple[str, ...]
    stop_stage: int
    main: Callable[[], object] | None = None


@dataclass
class Process:
    pid: int
    output: int
    returncode: int | None = None

    def poll(self) -> int | None:
        if self.returncode is None:
            pid, status = os.waitpid(self.pid, os.WNOHANG)
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode

    def wait(self) -> None:
        if self.returncode is None:
            self.returncode = os.waitstatus_to_exitcode(os.waitpid(self.pid, 0)[1])


def start(program: Program, directory: Path, environment: Mapping[str, str]) -> Process:
    """Start it in a session of its own, with its output in a pipe. Call from the main thread, and without others:
    the child dies with the thread that forked it, and a lock that another thread holds would stay locked in it.
    """
    sys.stdout.flush()
    sys.stderr.flush()
    reader, writer = os.pipe()
    pid = os.fork()
    if pid == 0:
        _become(program, directory, environment, writer)
    os.close(writer)
    os.set_blocking(reader, False)
    return Process(pid, reader)


def _become(program: Program, directory: Path, environment: Mapping[str, str], writer: int) -> NoReturn:
    """Never returns into the supervisor's code, whose `finally` would stop its children."""
    code = 1
    try:
        # Ctrl-C at the terminal must reach the supervisor only, which stops its children in order.
        os.setsid()
        _libc.prctl(_PR_SET_PDEATHSIG, int(signal.SIGTERM))
        for number in (signal.SIGINT, signal.SIGTERM):
            signal.signal(number, signal.SIG_DFL)
        os.dup2(os.open(os.devnull, os.O_RDONLY), 0)
        os.dup2(writer, 1)
        os.dup2(writer, 2)
        os.chdir(directory)
        if program.main is None:
            os.execve(program.argv[0], program.argv, dict(environment))  # noqa: S606 - an argv, no shell
        os.environ.update(environment)
        setproctitle(" ".join(program.argv))
        sys.argv = list(program.argv)
        sys.stdout = os.fdopen(1, "w", buffering=1)
        sys.stderr = os.fdopen(2, "w", buffering=1)
        program.main()
        code = 0
    except SystemExit as leaving:
        code = leaving.code if isinstance(leaving.code, int) else int(leaving.code is not None)
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
