"""Bounds what one request may send, before anything of it is kept: Django reads a body whole before any view."""

from collections.abc import Awaitable, Callable, MutableMapping
from http import HTTPStatus
from typing import Any

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Application = Callable[[Message, Receive, Send], Awaitable[None]]


class BoundedBodies:
    """An ASGI application whose requests end with 413 after `max_bytes`, also those that do not tell their length."""

    def __init__(self, application: Application, max_bytes: int) -> None:
        self._application = application
        self._max_bytes = max_bytes

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._application(scope, receive, send)
            return
        received = 0
        has_answered = False

        async def bounded_receive() -> Message:
            nonlocal received
            if received > self._max_bytes:
                return {"type": "http.disconnect"}
            message = await receive()
            received += len(message.get("body", b""))
            # The application is told that the client has gone: it drops what it has and answers nothing.
            return {"type": "http.disconnect"} if received > self._max_bytes else message

        async def watched_send(message: Message) -> None:
            nonlocal has_answered
            has_answered = True
            await send(message)

        await self._application(scope, bounded_receive, watched_send)
        if received > self._max_bytes and not has_answered:
            await _refuse(send, self._max_bytes)


async def _refuse(send: Send, max_bytes: int) -> None:
    text = f"The request is larger than {max_bytes // 1024**2} MB.\n".encode()
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", str(len(text)).encode())]
    # What is still on its way is not read, so the connection cannot serve another request.
    headers.append((b"connection", b"close"))
    await send({"type": "http.response.start", "status": HTTPStatus.REQUEST_ENTITY_TOO_LARGE, "headers": headers})
    await send({"type": "http.response.body", "body": text})
