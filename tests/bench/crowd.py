"""The same function in many processes that start together, as many workers on many hosts would.

Processes, not threads: one interpreter's lock would be measured instead of the database. They are forked from a
server process that has imported Django and opened no connection yet, so a hundred of them are there in seconds.
"""

import multiprocessing
import os
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from multiprocessing.connection import Connection, wait
from multiprocessing.synchronize import Barrier
from typing import Any, TypeVar

PRELOADED = ["tests.bench.preloaded"]
START_SECONDS = 120.0
Result = TypeVar("Result")


class CrowdError(Exception):
    """A process of a crowd failed, or did not answer in time."""


@dataclass(frozen=True)
class Member:
    """One process's place in the crowd: `number` counts from 0."""

    number: int
    count: int
    _barrier: Barrier

    def wait_for_all(self) -> float:
        """Open connections first, then call this: everybody starts at once. Gives the common start (monotonic)."""
        self._barrier.wait(START_SECONDS)
        return time.monotonic()


def run_crowd(
    function: Callable[[Member, Any], Result], arguments: Sequence[Any], *, timeout_seconds: float = 300
) -> list[Result]:
    """Call a module's function once per argument, each in a process of its own; its results in that order.

    The function opens its own connections (Django is ready there) and calls `member.wait_for_all()` once. Results
    and arguments are pickled. Raises CrowdError with the words of the first that failed; leaves no process behind.
    """
    context = multiprocessing.get_context("forkserver")
    context.set_forkserver_preload(PRELOADED)
    barrier = context.Barrier(len(arguments))
    processes, pipes = [], []
    try:
        for number, argument in enumerate(arguments):
            ours, theirs = context.Pipe(duplex=False)
            member = Member(number, len(arguments), barrier)
            process = context.Process(target=_work, args=(function, member, argument, theirs), daemon=True)
            process.start()
            theirs.close()
            processes.append(process)
            pipes.append(ours)
        return _collect(pipes, barrier, time.monotonic() + START_SECONDS + timeout_seconds)
    finally:
        for process in processes:
            process.join(0.2 if process.is_alive() else 5)
            if process.is_alive():
                process.kill()
                process.join()


def _collect(pipes: list[Connection], barrier: Barrier, deadline: float) -> list[Any]:
    results: dict[int, Any] = {}
    open_pipes = {pipe: number for number, pipe in enumerate(pipes)}
    while open_pipes:
        ready = wait(list(open_pipes), timeout=max(0.0, deadline - time.monotonic()))
        if not ready:
            raise CrowdError(f"{len(open_pipes)} of {len(pipes)} processes did not answer in time")
        for pipe in ready:
            assert isinstance(pipe, Connection)
            number = open_pipes.pop(pipe)
            try:
                is_good, answer = pipe.recv()
            except EOFError:
                is_good, answer = False, "ended without an answer"
            if not is_good:
                barrier.abort()
                raise CrowdError(f"process {number}: {answer}")
            results[number] = answer
    return [results[number] for number in range(len(pipes))]


def _work(function: Callable[[Member, Any], Any], member: Member, argument: Any, answer: Connection) -> None:
    os.setpgid(0, 0)  # Ctrl-C reaches the bench, which ends its crowd itself
    try:
        answer.send((True, function(member, argument)))
    except BaseException as error:
        answer.send((False, f"{type(error).__name__}: {error}"))
        raise SystemExit(1) from error
