"""Processes of the application itself, as `make up` starts them, for figures that a client would see."""

import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from tempfile import TemporaryFile

from tests.bench.database import ROOT

START_SECONDS = 60.0
STOP_SECONDS = 10.0


class ProcessError(Exception):
    """A process of the application did not start."""


@contextmanager
def running(argv: list[str], is_ready: Callable[[], bool], environment: Mapping[str, str]) -> Iterator[int]:
    """`python *argv` until the block ends; gives its process id once it answers."""
    with TemporaryFile() as words:
        process = subprocess.Popen(
            [sys.executable, *argv],
            cwd=ROOT,
            env={**os.environ, **environment},
            stdin=subprocess.DEVNULL,
            stdout=words,
            stderr=words,
            start_new_session=True,  # Ctrl-C reaches the bench, which stops it
        )
        try:
            _wait(process, is_ready, argv)
            yield process.pid
        except ProcessError as error:
            words.seek(0)
            raise ProcessError(f"{error}: {words.read()[-1000:].decode(errors='replace')}") from error
        finally:
            process.terminate()
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()


def _wait(process: "subprocess.Popen[bytes]", is_ready: Callable[[], bool], argv: list[str]) -> None:
    deadline = time.monotonic() + START_SECONDS
    while not is_ready():
        if process.poll() is not None or time.monotonic() > deadline:
            raise ProcessError(f"{' '.join(argv)} did not answer")
        time.sleep(0.05)
