"""One call's way to the provider and back: bytes pass at the pace of the slower side, and every end is settled."""

import asyncio
import time
from collections.abc import Awaitable, Callable, MutableMapping
from dataclasses import dataclass
from datetime import datetime
from http import HTTPStatus
from typing import Any
from uuid import UUID

import httpx

from metrics.gateway.anthropic import (
    Headers,
    MessagesRequest,
    Refusal,
    Tokens,
    forbidden,
    response_headers,
)
from metrics.gateway.ledger import Settlement
from metrics.gateway.meter import StreamMeter, tokens_of_message
from metrics.gateway.settler import Settler

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

LONGEST_CALL_SECONDS = 3600.0
# How often a long answer's progress is written down for the case of a crash.
NOTE_SECONDS = 5.0
MAX_ANSWER_BYTES = 64 * 1024 * 1024
MAX_ERROR_BYTES = 1024 * 1024
# A provider that refused to open the connection was never asked: nothing to pay.
NEVER_REACHED = (httpx.ConnectError, httpx.ConnectTimeout, httpx.PoolTimeout, httpx.UnsupportedProtocol)


@dataclass(frozen=True)
class Call:
    request_id: UUID
    run_created_at: datetime
    provider: str
    url: str
    headers: Headers
    request: MessagesRequest
    # False for questions that cost nothing, such as counting tokens: no hold, no ledger row.
    is_metered: bool

    def __repr__(self) -> str:
        return f"Call({self.request_id})"  # the headers hold the provider's key


class Relay:
    def __init__(self, http: httpx.AsyncClient, settler: Settler) -> None:
        self._http = http
        self._settler = settler

    async def run(self, call: Call, receive: Receive, send: Send) -> None:
        """Relay until the answer has ended, the client has left, or the call has taken longer than any may."""
        relaying = asyncio.create_task(self._relay(call, send))
        leaving = asyncio.create_task(_until_disconnect(receive))
        try:
            await asyncio.wait({relaying, leaving}, timeout=LONGEST_CALL_SECONDS, return_when=asyncio.FIRST_COMPLETED)
        finally:
            leaving.cancel()
            if not relaying.done():
                # Closes the connection to the provider, which then stops writing, and settles what it wrote.
                relaying.cancel()
                await asyncio.wait({relaying})
        if not relaying.cancelled():
            relaying.result()

    async def _relay(self, call: Call, send: Send) -> None:
        bill = Bill(call, self._settler)
        try:
            upstream = self._http.build_request("POST", call.url, headers=call.headers, content=call.request.body)
            response = await self._http.send(upstream, stream=True)
        except NEVER_REACHED:
            await bill.release()
            await send_refusal(send, _unreachable(call))
            return
        except httpx.HTTPError:
            await bill.settle()
            await send_refusal(send, _unreachable(call))
            return
        except asyncio.CancelledError:
            await bill.settle()
            raise
        try:
            bill.provider_request_id = response.headers.get("request-id", "")[:200]
            if response.is_success:
                await self._pass_on(bill, response, send)
            else:
                await bill.release()
                await _pass_error(call, response, send)
        finally:
            await response.aclose()
            # Does nothing when the call was brought to its end above: what is left is a break or a cancellation.
            await bill.settle()

    async def _pass_on(self, bill: "Bill", response: httpx.Response, send: Send) -> None:
        headers = response_headers(response.headers.raw)
        if not response.headers.get("content-type", "").startswith("text/event-stream"):
            body, is_cut = await _beginning(response, MAX_ANSWER_BYTES)
            if is_cut:
                # Returning breaks off, and the call is settled with its estimate.
                return
            await bill.settle_message(tokens_of_message(body))
            await _send_whole(send, response.status_code, headers, body)
            return
        await send({"type": "http.response.start", "status": response.status_code, "headers": headers})
        try:
            async for chunk in response.aiter_bytes():
                await bill.feed(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.HTTPError:
            # The provider broke off. Returning without an end breaks off here too, as the client must see it.
            return
        await send({"type": "http.response.body", "body": b""})


class Bill:
    """What a call has come to so far. It is closed once, whichever end comes first."""

    def __init__(self, call: Call, settler: Settler) -> None:
        self._call = call
        self._settler = settler
        self._meter = StreamMeter()
        self._noted_at: float | None = None
        self._is_closed = not call.is_metered
        self.provider_request_id = ""

    async def feed(self, chunk: bytes) -> None:
        """Count what passes. With the answer's last event the ledger is written before the client can read it."""
        if self._is_closed:
            return
        self._meter.feed(chunk)
        if self._meter.is_complete:
            await self.settle()
        elif self._meter.is_started and (self._noted_at is None or time.monotonic() - self._noted_at > NOTE_SECONDS):
            self._noted_at = time.monotonic()
            self._settler.note(self._call.request_id, self._meter.tokens)

    async def release(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._settler.release(self._call.request_id)

    async def settle(self) -> None:
        """With what the stream told; before it told anything, with the estimate of the request's size."""
        if self._meter.is_started:
            await self._close(self._meter.tokens, is_estimated=not self._meter.is_complete)
        else:
            await self._close(Tokens(input=self._call.request.input_estimate), is_estimated=True)

    async def settle_message(self, tokens: Tokens | None) -> None:
        if tokens is None:
            await self.settle()
        else:
            await self._close(tokens, is_estimated=False)

    async def _close(self, tokens: Tokens, *, is_estimated: bool) -> None:
        if not self._is_closed:
            self._is_closed = True
            await self._settler.settle(
                Settlement(
                    self._call.request_id,
                    self._call.run_created_at,
                    tokens,
                    self.provider_request_id,
                    is_estimated,
                )
            )


def _unreachable(call: Call) -> Refusal:
    # 502 is retried by clients, rightly: a provider that is away comes back.
    return Refusal(HTTPStatus.BAD_GATEWAY, "api_error", f"The provider {call.provider} could not be reached.")


async def _pass_error(call: Call, response: httpx.Response, send: Send) -> None:
    if response.status_code == HTTPStatus.UNAUTHORIZED:
        # The agent's own token was right; a client would retry a 401 that only a new key can heal.
        refusal = forbidden(
            f"The provider {call.provider} refuses the key that Paid has for it. Replace it in Settings, Provider keys."
        )
        await send_refusal(send, refusal)
        return
    body, _ = await _beginning(response, MAX_ERROR_BYTES)
    await _send_whole(send, response.status_code, response_headers(response.headers.raw), body)


async def _beginning(response: httpx.Response, limit_bytes: int) -> tuple[bytes, bool]:
    """The body up to a limit, and whether there was more: an account's own provider may send without end."""
    body = bytearray()
    async for chunk in response.aiter_bytes():
        body += chunk
        if len(body) > limit_bytes:
            return bytes(body[:limit_bytes]), True
    return bytes(body), False


async def send_refusal(send: Send, refusal: Refusal) -> None:
    await _send_whole(send, refusal.status, [(b"content-type", b"application/json")], refusal.body)


async def _send_whole(send: Send, status: int, headers: Headers, body: bytes) -> None:
    sized = [*headers, (b"content-length", str(len(body)).encode())]
    await send({"type": "http.response.start", "status": int(status), "headers": sized})
    await send({"type": "http.response.body", "body": body})


async def _until_disconnect(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
