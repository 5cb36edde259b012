"""The gateway's door to the database: short transactions as the platform, never one open while an answer streams."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from functools import cached_property
from typing import Any
from uuid import UUID

from django.db import connections
from psycopg import AsyncClientCursor, AsyncConnection
from psycopg.rows import dict_row
from psycopg_pool import AsyncConnectionPool

from metrics.gateway.anthropic import MessagesRequest, Tokens
from paid.lib.encryption import unseal

Row = dict[str, Any]
# Two statements in one message are one transaction, so that the role ends with it, also behind a pooler that hands
# connections on between transactions. Values are bound by the client: only it may send two at once.
_AS_PLATFORM = "SET LOCAL ROLE paid_platform; "


@dataclass(frozen=True)
class Admission:
    """A live run and how it reaches its provider. The key stays sealed until the moment it is sent."""

    run_id: int
    account_id: int
    run_created_at: datetime
    is_stopping: bool
    language_model_id: int | None
    provider: str
    base_url: str
    key_account_id: int | None
    sealed_key: bytes | None

    def reveal_key(self) -> str | None:
        """The provider's key in plain text, or None when neither account nor host has one. Raises EncryptionError."""
        if self.sealed_key is None or self.key_account_id is None:
            return None
        return unseal(self.sealed_key, table="provider_keys", column="key", account_id=self.key_account_id)


@dataclass(frozen=True)
class Hold:
    """The answer to an opened call: `refusal` is empty, `no_escrow`, `unpriced` or `money`."""

    refusal: str
    hold_usd: Decimal
    left_usd: Decimal


@dataclass(frozen=True)
class Settlement:
    """What one call came to. Equal settlements of one request are one; a different one is an error.

    The start of its run says in which partition a repeated one looks for the first.
    """

    request_id: UUID
    run_created_at: datetime
    tokens: Tokens
    provider_request_id: str
    is_estimated: bool

    @property
    def payload_hash(self) -> bytes:
        t = self.tokens
        counted = (
            *(t.input, t.output, t.cache_read, t.cache_write, t.cache_write_1h),
            *(self.provider_request_id, self.is_estimated),
        )
        return hashlib.sha256(repr(counted).encode()).digest()


class _Connection(AsyncConnection[Row]):
    """A connection with its cursor: to make one for each call took a fifth of the client's time."""

    @cached_property
    def asking(self) -> AsyncClientCursor[Row]:
        return AsyncClientCursor(self, row_factory=dict_row)


class Ledger:
    def __init__(self, gateway_id: str, *, pool_size: int) -> None:
        self.gateway_id = gateway_id
        self._pool: AsyncConnectionPool[_Connection] = AsyncConnectionPool(
            connection_class=_Connection,
            kwargs=_connection_parameters(),
            min_size=1,
            max_size=pool_size,
            timeout=10,
            open=False,
        )

    async def open(self) -> None:
        await self._pool.open(wait=True)

    async def close(self) -> None:
        await self._pool.close()

    def pool_counts(self) -> Mapping[str, int]:
        return self._pool.get_stats()

    async def now(self) -> datetime:
        """The database's clock, which calls are opened by: a host's own may go ahead of it."""
        row = await self._ask("SELECT now() AS now", [])
        if row is None:
            raise LookupError("now() gives one row")
        moment: datetime = row["now"]
        return moment

    async def admit(self, token_hash: bytes, model: str) -> Admission | None:
        """The run that holds this token, while it lives. Without `language_model_id` it may not use the model."""
        row = await self._ask("SELECT * FROM gateway_admit(%s, %s)", [token_hash, model])
        if row is None:
            return None
        sealed = row["sealed_key"]
        return Admission(
            run_id=row["run_id"],
            account_id=row["account_id"],
            run_created_at=row["run_created_at"],
            is_stopping=row["is_stopping"],
            language_model_id=row["language_model_id"],
            provider=row["provider"] or "",
            base_url=row["base_url"] or "",
            key_account_id=row["key_account_id"],
            sealed_key=None if sealed is None else bytes(sealed),
        )

    async def open_call(self, request_id: UUID, admission: Admission, request: MessagesRequest) -> Hold:
        """Hold the worst case of this call in the run's escrow, before the provider hears of it."""
        row = await self._ask(
            "SELECT * FROM gateway_open_call(%s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                request_id,
                admission.run_id,
                admission.language_model_id,
                request.model,
                self.gateway_id,
                request.input_limit,
                request.input_estimate,
                request.max_tokens,
                request.is_kept_an_hour,
            ],
        )
        if row is None:
            raise LookupError("gateway_open_call gives one row")
        return Hold(row["refusal"] or "", row["hold_usd"], row["left_usd"])

    async def note(self, request_id: UUID, tokens: Tokens) -> None:
        """Write down what is known of a running call, for whoever sweeps up after this gateway."""
        await self._tell(
            "SELECT gateway_note_call(%s, %s, %s, %s, %s, %s)",
            [request_id, tokens.input, tokens.output, tokens.cache_read, tokens.cache_write, tokens.cache_write_1h],
        )

    async def release(self, request_id: UUID) -> None:
        await self._tell("SELECT gateway_release_call(%s)", [request_id])

    async def settle(self, settlement: Settlement) -> None:
        t = settlement.tokens
        await self._tell(
            "SELECT gateway_settle_call(%s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            [
                settlement.request_id,
                settlement.provider_request_id,
                t.input,
                t.output,
                t.cache_read,
                t.cache_write,
                t.cache_write_1h,
                settlement.is_estimated,
                settlement.payload_hash,
                settlement.run_created_at,
            ],
        )

    async def sweep(self, *, started_at: datetime, oldest: datetime) -> int:
        """Settle what an earlier life of this gateway left open and what is older than a call may be; gives how many.

        Escrows of runs that ended without closing theirs go back to their budgets too.
        """
        row = await self._ask("SELECT gateway_sweep_calls(%s, %s, %s) AS swept", [self.gateway_id, started_at, oldest])
        # Apart: escrows come before the sums of a day, which the transaction above has locked.
        await self._tell("SELECT escrow_sweep()", [])
        return int(row["swept"]) if row else 0

    async def _ask(self, statement: str, values: Sequence[object]) -> Row | None:
        """One function call as the platform, in one round trip, and the first row of what it gives."""
        async with self._pool.connection() as connection:
            await connection.asking.execute(_AS_PLATFORM + statement, values)
            connection.asking.nextset()
            return await connection.asking.fetchone()

    async def _tell(self, statement: str, values: Sequence[object]) -> None:
        """The same for a function whose answer nobody needs: no row is made of it."""
        async with self._pool.connection() as connection:
            await connection.asking.execute(_AS_PLATFORM + statement, values)


def _connection_parameters() -> dict[str, Any]:
    """The address of Django's `default` database, so that both always mean the same one."""
    parameters: dict[str, Any] = connections["default"].get_connection_params()
    for django_only in ("cursor_factory", "context"):
        parameters.pop(django_only, None)
    return parameters | {"row_factory": dict_row, "autocommit": True, "application_name": "paid gateway"}
