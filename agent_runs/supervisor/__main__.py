"""`python -m agent_runs.supervisor RUN_DIR LOCK_DESCRIPTOR READY_DESCRIPTOR`, with the plan on standard input."""

import contextlib
import os
import signal
import sys
from pathlib import Path

from agent_runs.supervisor import files
from agent_runs.supervisor.plan import decode_plan
from agent_runs.supervisor.watch import Watch


def _detach(run_dir: str) -> None:
    """Leave the launcher's process tree, session and descriptors; its death is none of ours from here on."""
    if os.fork():
        os._exit(0)
    os.setsid()
    nothing = os.open(os.devnull, os.O_RDONLY)
    log = os.open(Path(run_dir) / files.LOG, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
    for source, target in ((nothing, 0), (log, 1), (log, 2)):
        os.dup2(source, target)
    for descriptor in (nothing, log):
        if descriptor > 2:
            os.close(descriptor)
    os.chdir("/")
    # Handlers, not SIG_IGN: an ignored signal stays ignored in the agent, which must hear SIGINT.
    for number in (signal.SIGHUP, signal.SIGINT):
        signal.signal(number, _take_no_notice)


def _take_no_notice(_number: int, _frame: object) -> None:
    return


def main(arguments: list[str]) -> int:
    run_dir, lock, ready = os.path.abspath(arguments[0]), int(arguments[1]), int(arguments[2])
    plan = decode_plan(sys.stdin.buffer.read())
    _detach(run_dir)
    os.set_inheritable(lock, False)
    watch = Watch(run_dir, plan)
    watch.begin()
    with contextlib.suppress(BrokenPipeError):
        # Who launched it may have died meanwhile; the agent is up, and whoever comes next attaches to it.
        os.write(ready, b"1")
    os.close(ready)
    watch.run()
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
