"""Rows of the log as COPY reads them, in its binary form.

A row is the number of its columns, then the length of each and its bytes; a bigint and a moment, which is counted in
microseconds since 2000, have eight. PostgreSQL takes them as they are, where text costs it as much again for moments
and for signs to be undone, and nothing has to be escaped. Made by hand: psycopg's `write_row` takes longer.
"""

import json
import re
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from struct import Struct
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from agent_runs.models import AgentRun, LogKind

COPY = """
    COPY agent_run_logs (account_id, run_created_at, agent_run_id, seq, kind, content, metadata, created_at)
    FROM STDIN (FORMAT binary)
"""
BEGINNING = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"

# Its number, kind, content, metadata and moment.
Row = tuple[int, LogKind, str, Mapping[str, Any], datetime]

_run_columns = Struct("!hiqiqiq").pack
_eight_bytes = Struct("!iq").pack
_length = Struct("!i").pack
_length_and_version = Struct("!iB").pack
_JSONB_VERSION = 1
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KINDS = {kind: _length(len(kind.value)) + kind.value.encode() for kind in LogKind}
# An escape begins behind an even number of backslashes: `\\\\u0000` is a backslash and five characters.
_NUL_IN_JSON = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_encoded = json.JSONEncoder(ensure_ascii=False).encode


def binary(run: AgentRun, rows: Iterable[Row]) -> bytes:
    """Rows of one run, to stand between BEGINNING and END."""
    since_epoch = (run.created_at - _EPOCH) // _MICROSECOND
    beginning = _run_columns(8, 8, run.account_id, 8, since_epoch, 8, run.pk)
    pieces: list[bytes] = []
    for number, kind, content, metadata, at in rows:
        text, document = _text(content), _json(metadata)
        pieces += (
            beginning,
            _eight_bytes(8, number),
            _KINDS[kind],
            _length(len(text)),
            text,
            _length_and_version(len(document) + 1, _JSONB_VERSION),
            document,
            _eight_bytes(8, (at - _EPOCH) // _MICROSECOND),
        )
    return b"".join(pieces)


def _text(content: str) -> bytes:
    """PostgreSQL stores no NUL, and UTF-8 knows no half of a surrogate pair: it becomes a question mark."""
    return content.replace("\0", "\ufffd").encode("utf-8", errors="replace")


def _json(metadata: Mapping[str, Any]) -> bytes:
    try:
        text = to_json(metadata)
    except PydanticSerializationError:  # half a surrogate pair, which the slower one leaves to the end
        text = _encoded(metadata).encode("utf-8", errors="replace")
    if b"\\u0000" in text:  # jsonb takes no NUL, not even as an escape
        text = _NUL_IN_JSON.sub(b"\\1\xef\xbf\xbd", text)
    return text
