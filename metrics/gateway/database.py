"""The gateway's connections to the database: each question is one call of a function, as the platform.

A connection of its own has that role from its start, and each function prepared: a model call asks two questions, and
to plan them anew took the server as long as half of its answer. They go over libpq itself, in the function's own types:
psycopg's cursors look for a type of each value and for a plan of each set of types.

Behind a pooler in transaction mode (`DATABASE_TRANSACTION_POOLER`) no state of a session lasts, and each question
brings its role along.
"""

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from functools import cached_property
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.db import connections
from psycopg import AsyncClientCursor, AsyncConnection, DataError
from psycopg.adapt import Transformer
from psycopg.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName, error_from_result
from psycopg.generators import execute
from psycopg.pq import ExecStatus, Format
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row

Row = tuple[Any, ...]
Value = UUID | str | bytes | int | bool | datetime | None
# Two statements in one message are one transaction, so that the role ends with it. Values are bound by the client: only
# it may send two at once.
_AS_PLATFORM = "SET LOCAL ROLE paid_platform; "
THIS_HOST = ("127.0.0.1", "::1", "localhost")
# What the server has prepared is not what we think: a question was given up while it was prepared, the session was
# reset, or a migration has changed the type of a function's result. Nothing was done.
_PREPARED_OTHERWISE = (DuplicatePreparedStatement, InvalidSqlStatementName, FeatureNotSupported)
_POSTGRES_EPOCH = datetime(2000, 1, 1, tzinfo=UTC)
# PostgreSQL's binary forms of uuid, text, bytea, bigint, boolean and timestamptz.
_IN_BINARY: dict[type, Callable[[Any], bytes | None]] = {
    UUID: lambda value: value.bytes,
    str: lambda value: value.encode(),
    bytes: lambda value: value,
    int: lambda value: value.to_bytes(8, "big", signed=True),
    bool: lambda value: b"\x01" if value else b"\x00",
    datetime: lambda value: ((value - _POSTGRES_EPOCH) // timedelta(microseconds=1)).to_bytes(8, "big", signed=True),
    type(None): lambda _: None,
}


@dataclass(frozen=True)
class Question:
    """A call of one function; `$1` and so on are values for its uuid, text, bytea, bigint, boolean or timestamptz."""

    name: str
    statement: str

    @cached_property
    def prepared_name(self) -> bytes:
        return f"paid_{self.name}".encode()

    @cached_property
    def with_role(self) -> str:
        return _AS_PLATFORM + re.sub(r"\$\d+", "%s", self.statement)


class Connection(AsyncConnection[Row]):
    """To PostgreSQL, with the platform's role from its start."""

    @cached_property
    def _known(self) -> set[Question]:
        """Prepared on this connection."""
        return set()

    async def ask(self, question: Question, values: Sequence[Value]) -> Row | None:
        """The first row of the answer. Raises psycopg.Error."""
        result = await self._result(question, values)
        if not result.ntuples:
            return None
        transformer = Transformer(self)
        transformer.set_pgresult(result)
        row: Row | None = transformer.load_row(0, tuple)
        return row

    async def tell(self, question: Question, values: Sequence[Value]) -> None:
        """The same for an answer that nobody needs: no objects are made of it."""
        await self._result(question, values)

    async def _result(self, question: Question, values: Sequence[Value]) -> PGresult:
        try:
            in_binary = [_IN_BINARY[type(value)](value) for value in values]
        except (OverflowError, UnicodeEncodeError) as error:
            raise DataError(f"{question.name} cannot be asked with these values: {error}") from error
        async with self.lock:
            try:
                return await self._ask_prepared(question, in_binary)
            except _PREPARED_OTHERWISE:
                self._known.clear()
                self.pgconn.send_query(b"DEALLOCATE ALL")
                await self._answer(ExecStatus.COMMAND_OK)
                return await self._ask_prepared(question, in_binary)

    async def _ask_prepared(self, question: Question, in_binary: Sequence[bytes | None]) -> PGresult:
        if question not in self._known:
            self.pgconn.send_prepare(question.prepared_name, question.statement.encode())
            await self._answer(ExecStatus.COMMAND_OK)
            self._known.add(question)
        self.pgconn.send_query_prepared(question.prepared_name, in_binary, [Format.BINARY] * len(in_binary))
        return await self._answer(ExecStatus.TUPLES_OK)

    async def _answer(self, expected: ExecStatus) -> PGresult:
        result: PGresult
        (result,) = await self.wait(execute(self.pgconn))
        if result.status != expected:
            raise error_from_result(result, self.info.encoding)
        return result


class PooledConnection(AsyncConnection[Row]):
    """To a pooler in transaction mode."""

    @cached_property
    def _cursor(self) -> AsyncClientCursor[Row]:
        return AsyncClientCursor(self, row_factory=tuple_row)

    async def ask(self, question: Question, values: Sequence[Value]) -> Row | None:
        """The first row of the answer. Raises psycopg.Error."""
        await self.tell(question, values)
        self._cursor.nextset()
        return await self._cursor.fetchone()

    async def tell(self, question: Question, values: Sequence[Value]) -> None:
        """The same for an answer that nobody needs."""
        await self._cursor.execute(question.with_role, values)


def connection_class() -> type[Connection] | type[PooledConnection]:
    return PooledConnection if settings.DATABASE_TRANSACTION_POOLER else Connection


def connection_parameters() -> dict[str, Any]:
    """The address of Django's `default` database, so that both always mean the same one."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    for django_only in ("cursor_factory", "context"):
        parameters.pop(django_only, None)
    parameters |= {"autocommit": True, "application_name": "paid gateway"}
    if settings.DATABASE_TRANSACTION_POOLER:
        return parameters
    parameters["options"] = f"{parameters.get('options', '')} -c role=paid_platform".lstrip()
    if _has_socket(parameters):
        parameters["host"] = settings.DATABASE_SOCKET_DIRECTORY
    return parameters


def _has_socket(parameters: Mapping[str, Any]) -> bool:
    """Whether the server that these name, on this host, has a Unix socket: a tenth less of each question's time."""
    if not settings.DATABASE_SOCKET_DIRECTORY or parameters.get("host") not in THIS_HOST:
        return False
    return (Path(settings.DATABASE_SOCKET_DIRECTORY) / f".s.PGSQL.{parameters.get('port') or 5432}").is_socket()
