"""Rows of the log as COPY reads them, in its binary form.

A row is the number of its columns, then the length of each and its bytes; a bigint has eight, a moment too, which is
counted in microseconds since 2000. PostgreSQL takes them as they are, without reading numbers and moments out of a
text or undoing escapes. Made by hand: psycopg's `write_row` takes longer than PostgreSQL does.
"""

import json
import re
from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta
from itertools import chain, repeat
from struct import Struct
from typing import Any

from pydantic_core import PydanticSerializationError, to_json

from agent_runs.models import AgentRun, LogKind

COPY = """
    COPY agent_run_logs (account_id, run_created_at, agent_run_id, seq, created_at, kind, content, metadata)
    FROM STDIN (FORMAT binary)
"""
BEGINNING = b"PGCOPY\n\xff\r\n\0" + bytes(8)
END = b"\xff\xff"

# Its number, kind, content, metadata and moment.
Row = tuple[int, LogKind, str, Mapping[str, Any], datetime]

_run_columns = Struct("!hiqiqiq").pack
_own_columns = Struct("!iqiq").pack
_length = Struct("!i").pack
_length_and_version = Struct("!iB").pack
_JSONB_VERSION = 1
_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
_MICROSECOND = timedelta(microseconds=1)
_KINDS = {kind: _length(len(kind.value)) + kind.value.encode() for kind in LogKind}
# An escape begins behind an even number of backslashes: `\\\\u0000` is a backslash and five characters.
_NUL_IN_JSON = re.compile(rb"(?<!\\)((?:\\\\)*)\\u0000")
_REPLACEMENT = b"\\1" + "\ufffd".encode()
_encoded = json.JSONEncoder(ensure_ascii=False).encode


def binary(run: AgentRun, rows: Sequence[Row]) -> bytes:
    """Rows of one run, to stand between BEGINNING and END. Column by column: row by row takes half as long again."""
    if not rows:
        return b""
    numbers, kinds, contents, metadata, moments = zip(*rows, strict=True)
    texts, documents = _texts(contents), _documents(metadata)
    columns = (
        repeat(_run_columns(8, 8, run.account_id, 8, _microseconds(run.created_at), 8, run.pk), len(rows)),
        [_own_columns(8, number, 8, _microseconds(at)) for number, at in zip(numbers, moments, strict=True)],
        [_KINDS[kind] for kind in kinds],
        [_length(len(text)) for text in texts],
        texts,
        [_length_and_version(len(document) + 1, _JSONB_VERSION) for document in documents],
        documents,
    )
    return b"".join(chain.from_iterable(zip(*columns, strict=True)))


def _microseconds(moment: datetime) -> int:
    return (moment - _EPOCH) // _MICROSECOND


def _texts(contents: Sequence[str]) -> list[bytes]:
    """PostgreSQL stores no NUL, and UTF-8 knows no half of a surrogate pair: it becomes a question mark."""
    return [content.replace("\0", "\ufffd").encode("utf-8", errors="replace") for content in contents]


def _documents(metadata: Sequence[Mapping[str, Any]]) -> list[bytes]:
    try:
        documents = [to_json(each) for each in metadata]
    except PydanticSerializationError:  # half a surrogate pair, which the slower one leaves to the end
        documents = [_encoded(each).encode("utf-8", errors="replace") for each in metadata]
    # jsonb takes no NUL, not even as an escape.
    return [_NUL_IN_JSON.sub(_REPLACEMENT, each) if b"\\u0000" in each else each for each in documents]
