"""The gateway's ASGI application: admits a call, holds its worst case, relays it, settles it."""

import asyncio
import hashlib
import logging
import re
import uuid
from collections import Counter
from collections.abc import Awaitable, Callable, Iterator, Mapping, MutableMapping
from contextlib import contextmanager
from datetime import datetime, timedelta
from http import HTTPStatus
from typing import Any

import httpx
import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from metrics.gateway.anthropic import (
    InvalidRequest,
    MessagesRequest,
    Refusal,
    bearer_token,
    forbidden,
    parse_request,
    request_headers,
)
from metrics.gateway.ledger import Admission, Hold, Ledger
from metrics.gateway.relay import Call, Relay, send_refusal
from metrics.gateway.settler import Settler
from paid.lib.addresses import AddressRefused, refuse_inner_address
from paid.lib.encryption import EncryptionError

logger = logging.getLogger("paid.gateway")

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MESSAGES, COUNT_TOKENS = "/v1/messages", "/v1/messages/count_tokens"
# The API knows `beta=true`; longer or stranger ones only serve to break whoever reads them.
QUERY = re.compile(rb"[A-Za-z0-9_=&.%-]{0,200}")
MAX_REQUEST_BYTES = 32 * 1024 * 1024
# The token is looked at when the body has told the model: what sandboxes can make this process hold is bounded here.
MAX_BODIES_AT_ONCE = 24
BODY_SECONDS = 60.0
# Half of the connections that there are (server.py): an account whose provider never answers leaves the others theirs.
MOST_CALLS_OF_AN_ACCOUNT = 256
# Longer than any call takes (relay.py ends one before): who is older was left behind.
OLDEST_OPEN_CALL = timedelta(hours=2)
SWEEP_SECONDS = 600.0

TOO_LARGE = Refusal(HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "request_too_large", "The request is larger than 32 MB.")
TOO_SLOW = Refusal(HTTPStatus.REQUEST_TIMEOUT, "timeout_error", "The request did not arrive within a minute.")
TOO_MANY = Refusal(
    HTTPStatus.TOO_MANY_REQUESTS, "rate_limit_error", "This account has as many calls under way as one may have."
)
AWAY = Refusal(
    HTTPStatus.SERVICE_UNAVAILABLE, "api_error", "Paid's database does not answer, so this call cannot be paid for."
)


class Refused(Exception):
    """The call does not go to the provider; `refusal` is what the client is told."""

    def __init__(self, refusal: Refusal) -> None:
        super().__init__(refusal.message)
        self.refusal = refusal


class Gateway:
    """`providers` maps a provider's name to its base URL; a provider key with a URL of its own takes that one."""

    def __init__(
        self, ledger: Ledger, providers: Mapping[str, str], default_keys: Mapping[str, str], http: httpx.AsyncClient
    ) -> None:
        self.ledger = ledger
        self.providers = providers
        self.default_keys = default_keys
        self.http = http
        self.settler = Settler(ledger)
        self.relay = Relay(http, self.settler)
        self._reading = asyncio.Semaphore(MAX_BODIES_AT_ONCE)
        self._under_way: Counter[int] = Counter()

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        if scope["type"] != "http":
            return
        if (scope["method"], scope["path"]) == ("GET", "/healthz"):
            await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", b"text/plain")]})
            await send({"type": "http.response.body", "body": b"ok"})
            return
        try:
            await self._answer(scope, receive, send)
        except Refused as refused:
            await send_refusal(send, refused.refusal)

    async def _answer(self, scope: Message, receive: Receive, send: Send) -> None:
        path = scope["path"]
        if scope["method"] != "POST" or path not in {MESSAGES, COUNT_TOKENS}:
            raise Refused(Refusal(HTTPStatus.NOT_FOUND, "not_found_error", f"The gateway does not serve {path}."))
        token = bearer_token(scope["headers"])
        if not token:
            raise Refused(Refusal(HTTPStatus.UNAUTHORIZED, "authentication_error", "A run token is needed."))
        try:
            async with self._reading, asyncio.timeout(BODY_SECONDS):
                body = await _read_body(receive)
        except TimeoutError as error:
            raise Refused(TOO_SLOW) from error
        if body is None:
            return
        try:
            request = parse_request(body, needs_limit=path == MESSAGES)
        except InvalidRequest as error:
            raise Refused(Refusal(HTTPStatus.BAD_REQUEST, "invalid_request_error", str(error))) from error
        admission = await self._admit(token, request)
        headers = request_headers(scope["headers"], self._key(admission))
        url = self._url(admission, path, scope["query_string"])
        call = Call(
            uuid.uuid4(),
            admission.run_created_at,
            admission.provider,
            url,
            headers,
            request,
            is_metered=path == MESSAGES,
        )
        with self._place(admission.account_id):
            if call.is_metered:
                await self._hold(call, admission)
            await self.relay.run(call, receive, send)

    @contextmanager
    def _place(self, account_id: int) -> Iterator[None]:
        if self._under_way[account_id] >= MOST_CALLS_OF_AN_ACCOUNT:
            raise Refused(TOO_MANY)
        self._under_way[account_id] += 1
        try:
            yield
        finally:
            self._under_way[account_id] -= 1
            if not self._under_way[account_id]:
                del self._under_way[account_id]

    async def _admit(self, token: str, request: MessagesRequest) -> Admission:
        token_hash = hashlib.sha256(token.encode("utf-8", "surrogateescape")).digest()
        try:
            admission = await self.ledger.admit(token_hash, request.model)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Refused(AWAY) from error
        if admission is None:
            raise Refused(forbidden("This run has ended, or its token is not known: it may make no more calls."))
        if admission.is_stopping:
            raise Refused(forbidden("This run is being stopped: it may make no more calls."))
        if admission.language_model_id is None:
            raise Refused(forbidden(f"This run may not use the model {request.model}."))
        return admission

    async def _hold(self, call: Call, admission: Admission) -> None:
        try:
            hold = await self.ledger.open_call(call.request_id, admission, call.request)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Refused(AWAY) from error
        if hold.refusal:
            raise Refused(forbidden(_why_no_money(hold, call.request.model)))

    def _key(self, admission: Admission) -> str:
        try:
            key = admission.reveal_key() or self.default_keys.get(admission.provider)
        except EncryptionError as error:
            logger.exception("the key of provider %s does not open", admission.provider)
            raise Refused(
                forbidden(f"The key of provider {admission.provider} cannot be opened on this host.")
            ) from error
        if not key:
            raise Refused(
                forbidden(f"There is no key for provider {admission.provider}: add one in Settings, Provider keys.")
            )
        return key

    def _url(self, admission: Admission, path: str, query: bytes) -> str:
        base = admission.base_url or self.providers.get(admission.provider, "")
        if admission.base_url:
            # Again: what was allowed when the key was added need not be now.
            try:
                refuse_inner_address(base, unless_in="PROVIDER_HOSTS")
            except AddressRefused as error:
                raise Refused(
                    forbidden(f"The address of the key of {admission.provider} is refused. {error}")
                ) from error
        if not base:
            raise Refused(forbidden(f"The key of provider {admission.provider} names no address to reach it at."))
        if not QUERY.fullmatch(query):
            raise Refused(
                Refusal(HTTPStatus.BAD_REQUEST, "invalid_request_error", "The address has a query that none needs.")
            )
        return base.rstrip("/") + path + (f"?{query.decode('ascii')}" if query else "")

    async def _live(self, receive: Receive, send: Send) -> None:
        await receive()
        await self.ledger.open()
        sweeping = asyncio.create_task(self._sweep_for_ever(await self.ledger.now()))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        sweeping.cancel()
        await self.settler.finish()
        await self.http.aclose()
        await self.ledger.close()
        await send({"type": "lifespan.shutdown.complete"})

    async def _sweep_for_ever(self, started_at: datetime) -> None:
        while True:
            try:
                await self._sweep(started_at)
            except (psycopg.Error, PoolTimeout) as error:
                logger.warning("the sweep of open calls failed (%s)", type(error).__name__)
            await asyncio.sleep(SWEEP_SECONDS)

    async def _sweep(self, started_at: datetime) -> None:
        oldest = await self.ledger.now() - OLDEST_OPEN_CALL
        swept = 0
        for call in await self.ledger.left_calls(started_at=started_at, oldest=oldest):
            try:
                swept += await self.ledger.sweep_call(call)
            except (PoolTimeout, PoolClosed):
                raise
            except psycopg.Error as error:
                # One tenant's, while the others are everybody's.
                logger.warning("call %s was left open and cannot be settled: %s", call, error)
        if swept:
            logger.warning("settled %d calls that had been left open, with what was known of them", swept)
        await self.ledger.sweep_escrows()
        self.settler.poster.due()


def _why_no_money(hold: Hold, model: str) -> str:
    if hold.refusal == "unpriced":
        return (
            f"The model {model} has no price, or none for a class of tokens that this call may use, and a hard budget "
            "applies to this run, so what it costs could not be held back. Add its prices (input, output, cache_read, "
            "cache_write, and cache_write_1h for a cache of an hour), or make the budget a soft one."
        )
    if hold.refusal == "no_escrow":
        return "This run holds no budget, so it may make no calls."
    return (
        f"The budget of this run is used up: {max(hold.left_usd, 0):.4f} USD are left, and this call may cost up to "
        f"{hold.hold_usd:.4f} USD. Grant the run more budget, or raise the limit of its project."
    )


async def _read_body(receive: Receive) -> bytes | None:
    """None when the client has gone before it said all. Raises Refused when it says too much."""
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return None
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_REQUEST_BYTES:
            raise Refused(TOO_LARGE)
        if not message.get("more_body", False):
            return b"".join(parts)
