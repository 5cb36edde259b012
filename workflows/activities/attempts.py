"""Attempts of one activity: the living one shows that it lives, and no two work in one directory at a time."""

import contextvars
import errno
import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from django.db import InterfaceError, OperationalError
from temporalio import activity
from temporalio.exceptions import ApplicationError

BEAT_SECONDS = 1.0
WAIT_SECONDS = 0.1
_LOCK = "attempt.lock"
# How often a step is tried again for an error that nobody foresaw: what five attempts do not heal is a mistake of ours.
BLIND_ATTEMPTS = 5


@contextmanager
def alone_in(run_dir: Path) -> Iterator[None]:
    """Heartbeat while the block works in `run_dir`, where no other attempt on this host works meanwhile.

    A worker that was frozen wakes to find its work given to a second attempt: that one waits here for the first,
    which cannot be called off in the middle of a git command. An attempt that was superseded while it waited does
    not begin.
    """
    run_dir.mkdir(mode=0o700, parents=True, exist_ok=True)
    descriptor = os.open(run_dir / _LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        with beating():
            _take(descriptor)
            yield
    finally:
        os.close(descriptor)


def has_attempts_left() -> bool:
    """Whether an error of which nobody knows if it heals is worth another attempt."""
    return activity.info().attempt < BLIND_ATTEMPTS


@contextmanager
def bounded_surprises() -> Iterator[None]:
    """For a step that waits for hours on what heals: an unforeseen error ends it after a few attempts all the same.

    Databases and disks that are away are waited for.
    """
    try:
        yield
    except (ApplicationError, OperationalError, InterfaceError):
        raise
    except Exception as error:
        if has_attempts_left() or (isinstance(error, OSError) and error.errno == errno.ENOSPC):
            raise
        raise ApplicationError(type(error).__name__, type="Unforeseen", non_retryable=True) from error


def _take(descriptor: int) -> None:
    while True:
        if activity.is_cancelled() or activity.is_worker_shutdown():
            raise ApplicationError("Another attempt has taken over.", type="Superseded")
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            activity.wait_for_worker_shutdown_sync(WAIT_SECONDS)
        else:
            return


@contextmanager
def beating() -> Iterator[None]:
    """Heartbeat from a thread while the block works."""
    ended = threading.Event()

    def beat() -> None:
        activity.heartbeat()
        while not ended.wait(BEAT_SECONDS):
            activity.heartbeat()

    # A thread starts without the context that says which activity this is.
    thread = threading.Thread(target=contextvars.copy_context().run, args=(beat,), daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()
