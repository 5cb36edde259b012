"""One stack per state directory, held by a lock that the kernel drops when its process is gone."""

import fcntl
import os
from pathlib import Path
from typing import IO

# In the place of a port: nobody serves pages.
DEMO = "demo"


class AlreadyRunningError(Exception):
    """Another process runs Paid from this state directory."""

    def __init__(self, holder: str, served: str) -> None:
        super().__init__(f"Paid is already running here (process {holder}).")
        self.holder = holder
        self.port = int(served) if served.isdecimal() else None
        self.is_demo = served == DEMO


class StackLock:
    """An exclusive lock. Inside are the holder's process id and the port of its pages; what a dead one left is void."""

    def __init__(self, state_directory: Path) -> None:
        self._path = state_directory / "up.lock"
        self._file: IO[str] | None = None

    def acquire(self, *, port: int | None = None) -> None:
        """Take the lock, or raise AlreadyRunningError with what the holder says of itself."""
        self._path.parent.mkdir(mode=0o711, parents=True, exist_ok=True)
        file = self._path.open("a+")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.seek(0)
            holder, _, served = file.read().strip().partition(" ")
            file.close()
            raise AlreadyRunningError(holder or "unknown", served) from None
        file.seek(0)
        file.truncate()
        file.write(f"{os.getpid()} {DEMO if port is None else port}\n")
        file.flush()
        self._file = file

    def release(self) -> None:
        if self._file is not None:
            self._file.close()
            self._file = None
