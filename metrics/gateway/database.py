"""The gateway's connections to the database: each question is one call of a function, as the platform.

A connection of its own has that role from its start, and each function prepared: a model call asks two questions, and
to plan them anew took the server as long as half of its answer. They go over libpq itself, in the function's own types:
psycopg's cursors look for a type of each value and for a plan of each set of types, and its waiting brings a reader to
the event loop and takes it away again for each answer: here one stays.

Behind a pooler in transaction mode (`DATABASE_TRANSACTION_POOLER`) no state of a session lasts, and each question
brings its role along.
"""

import asyncio
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
from psycopg import AsyncClientCursor, AsyncConnection, DataError, OperationalError
from psycopg.adapt import Transformer
from psycopg.errors import DuplicatePreparedStatement, FeatureNotSupported, InvalidSqlStatementName, error_from_result
from psycopg.generators import execute, fetch_many
from psycopg.pq import ConnStatus, ExecStatus, Format, TransactionStatus
from psycopg.pq.abc import PGresult
from psycopg.rows import tuple_row

Row = tuple[Any, ...]
Value = UUID | str | bytes | int | bool | datetime | None
# Two statements in one message are one transaction, so that the role ends with it. Values are bound by the client: only
# it may send two at once.
_AS_PLATFORM = "SET LOCAL ROLE paid_platform; "
# Longer than a server takes that is there.
CANCEL_SECONDS = 5.0
LOOK_SECONDS = 0.5
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
    """To PostgreSQL, with the platform's role from its start.

    The event loop reads its socket while it is open. psycopg's own reading would take that reader's place and leave
    none, so `wait`, by which all of it goes, and `close` take it away before.
    """

    _listening: asyncio.AbstractEventLoop | None = None
    _socket = -1
    _answered: "asyncio.Future[list[PGresult]] | None" = None
    _next_look: asyncio.TimerHandle | None = None

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
        """What comes of the message that was just handed to libpq."""
        if self.pgconn.flush():
            # Not all of it is on its way yet.
            results = await self.wait(execute(self.pgconn))
        else:
            results = await self._results()
        result: PGresult = results[0]
        if result.status != expected:
            raise error_from_result(result, self.info.encoding)
        if len(results) > 1:
            raise OperationalError("the server has answered more than it was asked")
        return result

    async def _results(self) -> list[PGresult]:
        loop = asyncio.get_running_loop()
        self._so_far: list[PGresult] = []
        self._answered = loop.create_future()
        self._listen(loop)
        try:
            return await self._answered
        except asyncio.CancelledError:
            await self._give_up()
            raise
        finally:
            self._answered = None
            if self._next_look is not None:
                self._next_look.cancel()

    def _listen(self, loop: asyncio.AbstractEventLoop) -> None:
        """Read when there is something, and look from time to time: uvloop tells of a socket's error once, with the
        server's last words still to be read, and never of that socket again."""
        if self._listening is None:
            self._listening, self._socket = loop, self.pgconn.socket
            loop.add_reader(self._socket, self._read)
        self._next_look = loop.call_later(LOOK_SECONDS, self._look_again, loop)

    def _look_again(self, loop: asyncio.AbstractEventLoop) -> None:
        self._read()
        if self._answered is not None and not self._answered.done():
            self._stop_listening()
            self._listen(loop)

    def _read(self) -> None:
        """Take what has come, only that: for the rest libpq would wait, and the whole loop with it.

        Over TLS too that is all: libpq 18.6 reads on while OpenSSL holds bytes of which the socket tells nothing. Older
        ones may not (15.18 does not), and leave them to the next look.
        """
        try:
            self.pgconn.consume_input()
            while self._answered is not None and not self._answered.done() and not self.pgconn.is_busy():
                result = self.pgconn.get_result()
                if result is None:
                    self._answered.set_result(self._so_far)
                else:
                    self._so_far.append(result)
        except OperationalError as error:
            self._lose(error)
        else:
            if self.pgconn.status == ConnStatus.BAD:
                self._lose(OperationalError("the connection to the server is lost"))

    def _lose(self, error: OperationalError) -> None:
        self._stop_listening()
        if self._answered is not None and not self._answered.done():
            self._answered.set_exception(error)

    async def _give_up(self) -> None:
        """Whoever is next finds the connection free or closed, and the server does not go on with the question."""
        self._answered = None
        if self.pgconn.transaction_status != TransactionStatus.ACTIVE:
            return
        try:
            await self.cancel_safe(timeout=CANCEL_SECONDS)
            await self.wait(fetch_many(self.pgconn), timeout=CANCEL_SECONDS)
        except (Exception, asyncio.CancelledError):  # whatever it is: who was cancelled hears of that and nothing else
            self._stop_listening()
            self.pgconn.finish()

    def _stop_listening(self) -> None:
        if self._listening is not None:
            self._listening.remove_reader(self._socket)
            self._listening = None

    async def wait(self, *args: Any, **options: Any) -> Any:
        self._stop_listening()
        return await super().wait(*args, **options)

    async def close(self) -> None:
        # Before the socket's number is another one's.
        self._stop_listening()
        await super().close()


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
    if parameters.get("channel_binding") == "require":
        # Only TLS has it, and libpq speaks none by a socket.
        return False
    return (Path(settings.DATABASE_SOCKET_DIRECTORY) / f".s.PGSQL.{parameters.get('port') or 5432}").is_socket()
