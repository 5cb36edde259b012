"""What the gateway asks of the database: short transactions as the platform, never one open while an answer streams."""

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from uuid import UUID

from psycopg_pool import AsyncConnectionPool

from metrics.gateway.anthropic import MessagesRequest, Tokens
from metrics.gateway.database import (
    Connection,
    PooledConnection,
    Question,
    Row,
    Value,
    connection_class,
    connection_parameters,
)
from paid.lib.encryption import unseal

NOW = Question("now", "SELECT now()")
ADMIT = Question("admit", "SELECT * FROM gateway_admit($1, $2)")
OPEN_CALL = Question("open_call", "SELECT * FROM gateway_open_call($1, $2, $3, $4, $5, $6, $7, $8, $9)")
NOTE_CALL = Question("note_call", "SELECT gateway_note_call($1, $2, $3, $4, $5, $6)")
RELEASE_CALL = Question("release_call", "SELECT gateway_release_call($1)")
SETTLE_CALL = Question("settle_call", "SELECT gateway_settle_call($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
LEFT_CALLS = Question("left_calls", "SELECT gateway_left_calls($1, $2, $3)")
SWEEP_CALL = Question("sweep_call", "SELECT gateway_sweep_call($1)")
SWEEP_ESCROWS = Question("sweep_escrows", "SELECT escrow_sweep()")
UNPOSTED = Question("unposted", "SELECT spend_unposted()")
POST = Question("post", "SELECT spend_post_behind($1)")


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


class Ledger:
    def __init__(self, gateway_id: str, *, pool_size: int) -> None:
        self.gateway_id = gateway_id
        self._pool: AsyncConnectionPool[Connection | PooledConnection] = AsyncConnectionPool(
            connection_class=connection_class(),
            # Asked for each new connection: a server that starts again need not have its socket any more.
            kwargs=connection_parameters,
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
        moment: datetime
        (moment,) = await self._one(NOW)
        return moment

    async def admit(self, token_hash: bytes, model: str) -> Admission | None:
        """The run that holds this token, while it lives. Without `language_model_id` it may not use the model."""
        row = await self._ask(ADMIT, token_hash, model)
        if row is None:
            return None
        run_id, account_id, created_at, is_stopping, model_id, provider, key_account_id, sealed_key, base_url = row
        return Admission(
            run_id=run_id,
            account_id=account_id,
            run_created_at=created_at,
            is_stopping=is_stopping,
            language_model_id=model_id,
            provider=provider or "",
            base_url=base_url or "",
            key_account_id=key_account_id,
            sealed_key=sealed_key,
        )

    async def open_call(self, request_id: UUID, admission: Admission, request: MessagesRequest) -> Hold:
        """Hold the worst case of this call in the run's escrow, before the provider hears of it."""
        refusal, hold_usd, left_usd = await self._one(
            OPEN_CALL,
            request_id,
            admission.run_id,
            admission.language_model_id,
            request.model,
            self.gateway_id,
            request.input_limit,
            request.input_estimate,
            request.max_tokens,
            request.is_kept_an_hour,
        )
        return Hold(refusal or "", hold_usd, left_usd)

    async def note(self, request_id: UUID, tokens: Tokens) -> None:
        """Write down what is known of a running call, for whoever sweeps up after this gateway."""
        counted = (tokens.input, tokens.output, tokens.cache_read, tokens.cache_write, tokens.cache_write_1h)
        await self._tell(NOTE_CALL, request_id, *counted)

    async def release(self, request_id: UUID) -> None:
        await self._tell(RELEASE_CALL, request_id)

    async def settle(self, settlement: Settlement) -> None:
        t = settlement.tokens
        await self._tell(
            SETTLE_CALL,
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
        )

    async def left_calls(self, *, started_at: datetime, oldest: datetime) -> Sequence[UUID]:
        """What an earlier life of this gateway left open, and what is older than a call may be."""
        calls: Sequence[UUID] | None
        (calls,) = await self._one(LEFT_CALLS, self.gateway_id, started_at, oldest)
        return calls or ()

    async def sweep_call(self, request_id: UUID) -> bool:
        """Settle a call that was left open with what was known of it; False when somebody else does."""
        (is_swept,) = await self._one(SWEEP_CALL, request_id)
        return bool(is_swept)

    async def sweep_escrows(self) -> None:
        """Give escrows of runs that ended without closing theirs back to their budgets."""
        await self._tell(SWEEP_ESCROWS)

    async def unposted(self) -> Sequence[int]:
        """The runs of which settlements, by whomever, have left something on their escrows."""
        runs: Sequence[int] | None
        (runs,) = await self._one(UNPOSTED)
        return runs or ()

    async def post(self, run_id: int) -> None:
        """Bring what is unposted of a run into its row, unless somebody holds the run."""
        await self._tell(POST, run_id)

    # Not `pool.connection()`, which ends with a commit each time: every question is a transaction of its own.

    async def _ask(self, question: Question, *values: Value) -> Row | None:
        connection = await self._pool.getconn()
        try:
            return await connection.ask(question, values)
        finally:
            await self._pool.putconn(connection)

    async def _tell(self, question: Question, *values: Value) -> None:
        connection = await self._pool.getconn()
        try:
            await connection.tell(question, values)
        finally:
            await self._pool.putconn(connection)

    async def _one(self, question: Question, *values: Value) -> Row:
        row = await self._ask(question, *values)
        if row is None:
            raise LookupError(f"{question.name} gives one row")
        return row
