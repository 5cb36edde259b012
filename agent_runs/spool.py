"""The spool: everything an agent printed, in order, as lines of JSON in the run's directory. Standard library only.

The supervisor writes it whether or not anybody reads; a reader keeps a byte offset and may start again anywhere
that `read_from` once returned.
"""

import json
import os
from datetime import UTC, datetime
from pathlib import Path

from agent_runs.contracts import SpoolRecord, SpoolStream

SPOOL_NAME = "spool.ndjson"
_READ_BYTES = 4 * 1024 * 1024


def read_from(run_dir: str, offset: int, limit_bytes: int = _READ_BYTES) -> tuple[list[SpoolRecord], int]:
    """Complete records from `offset` on and the offset after them; about `limit_bytes`, but one record at least.

    A line that is still being written is left for the next call. No spool yet: no records.
    """
    try:
        spool = (Path(run_dir) / SPOOL_NAME).open("rb")
    except FileNotFoundError:
        return [], offset
    with spool:
        spool.seek(offset)
        chunk = spool.read(limit_bytes)
        if b"\n" not in chunk:
            chunk += spool.readline()
    end = chunk.rfind(b"\n") + 1
    records = [SpoolRecord(**json.loads(line)) for line in chunk[:end].split(b"\n") if line]
    return records, offset + end


class SpoolFailed(Exception):
    """What the agent says cannot be kept."""


class SpoolWriter:
    """Appends records, or raises SpoolFailed (the disk is full, as a rule).

    Past `limit_bytes` only the lines that must not be lost are still written.
    """

    def __init__(self, run_dir: str, limit_bytes: int) -> None:
        self._descriptor = os.open(Path(run_dir) / SPOOL_NAME, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o600)
        self._limit_bytes = limit_bytes
        self._written_bytes = 0
        self._seq = 0
        self._is_full = False

    def write(self, stream: SpoolStream, text: str, *, essential: bool = False) -> None:
        if self._written_bytes >= self._limit_bytes and not essential:
            if self._is_full:
                return
            self._is_full = True
            stream, text = "system", f"Output passed {self._limit_bytes} bytes: the rest is not kept."
        self._seq += 1
        at = datetime.now(UTC).isoformat(timespec="milliseconds")
        record = {"seq": self._seq, "at": at, "stream": stream, "text": text}
        view = memoryview((json.dumps(record) + "\n").encode("ascii"))
        self._written_bytes += len(view)
        try:
            while view:
                view = view[os.write(self._descriptor, view) :]
        except OSError as error:
            raise SpoolFailed(f"The agent's output could not be written: {error.strerror}.") from error

    def close(self) -> None:
        os.close(self._descriptor)


class LineFramer:
    """Cuts bytes into lines of any length up to `limit_bytes`; a longer line comes out in pieces."""

    def __init__(self, limit_bytes: int = 16 * 1024 * 1024) -> None:
        self._buffer = bytearray()
        self._searched = 0
        self._limit_bytes = limit_bytes

    def feed(self, chunk: bytes) -> list[bytes]:
        self._buffer += chunk
        lines: list[bytes] = []
        start = 0
        while (end := self._buffer.find(b"\n", max(start, self._searched))) >= 0:
            lines.append(bytes(self._buffer[start:end]))
            start = end + 1
        while len(self._buffer) - start > self._limit_bytes:
            lines.append(bytes(self._buffer[start : start + self._limit_bytes]))
            start += self._limit_bytes
        del self._buffer[:start]
        # Without this a 10 MB line that arrives in 64 KiB pieces is searched 160 times from its beginning.
        self._searched = len(self._buffer)
        return lines

    def rest(self) -> bytes:
        rest, self._buffer, self._searched = bytes(self._buffer), bytearray(), 0
        return rest
