"""The files of a run's directory, and the lock that says whether its supervisor lives."""

import contextlib
import fcntl
import json
import os
import struct
from dataclasses import asdict
from pathlib import Path
from typing import Any

from agent_runs.contracts import ExitRecord

LOCK = "supervisor.lock"
EXIT = "exit.json"
STOP = "stop"
STATE = "supervisor.json"
LOG = "supervisor.log"
# Given back when the end is written: how a run ended must fit on a disk that its agent has filled.
RESERVE = "exit.reserve"
RESERVE_BYTES = 64 * 1024

# struct flock: type, whence, start, length, pid. A lock of the open file description passes to the supervisor with
# its descriptor, and can be asked about without being taken: a look never makes a launch believe that somebody lives.
_FLOCK = struct.Struct("hhqqi4x")


def open_lock(run_dir: str) -> int:
    return os.open(Path(run_dir) / LOCK, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)


def take_lock(descriptor: int) -> bool:
    try:
        fcntl.fcntl(descriptor, fcntl.F_OFD_SETLK, _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0))
    except (BlockingIOError, PermissionError):
        return False
    return True


def is_locked(run_dir: str) -> bool:
    try:
        descriptor = os.open(Path(run_dir) / LOCK, os.O_RDWR | os.O_CLOEXEC)
    except FileNotFoundError:
        return False
    try:
        question = _FLOCK.pack(fcntl.F_WRLCK, os.SEEK_SET, 0, 0, 0)
        answer = fcntl.fcntl(descriptor, fcntl.F_OFD_GETLK, question)
        return bool(_FLOCK.unpack(answer)[0] != fcntl.F_UNLCK)
    finally:
        os.close(descriptor)


def write_atomically(path: Path, text: str) -> None:
    """Whoever reads `path` sees all of `text` or none; it survives a power cut once this returns."""
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "w", encoding="utf-8") as file:
        file.write(text)
        file.flush()
        os.fsync(file.fileno())
    temporary.replace(path)


def reserve_room(run_dir: str) -> None:
    descriptor = os.open(Path(run_dir) / RESERVE, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    with os.fdopen(descriptor, "wb") as file:
        file.write(bytes(RESERVE_BYTES))


def write_exit(run_dir: str, record: ExitRecord) -> None:
    (Path(run_dir) / RESERVE).unlink(missing_ok=True)
    write_atomically(Path(run_dir) / EXIT, json.dumps(asdict(record)) + "\n")


def read_json(run_dir: str, name: str) -> dict[str, Any] | None:
    with contextlib.suppress(FileNotFoundError):
        content: dict[str, Any] = json.loads((Path(run_dir) / name).read_text(encoding="utf-8"))
        return content
    return None
