"""A request that sends too much is refused, whatever it says about its length."""

from collections.abc import Iterator

from paid.lib.bodies import BoundedBodies, Message, Receive, Send


async def ask(bodies: list[bytes], max_bytes: int) -> tuple[list[Message], list[bytes]]:
    """What the client is answered, and what the application got to see."""
    seen: list[bytes] = []
    sent: list[Message] = []
    parts: Iterator[tuple[int, bytes]] = iter(enumerate(bodies, start=1))

    async def application(scope: Message, receive: Receive, send: Send) -> None:
        while True:
            message = await receive()
            if message["type"] == "http.disconnect":
                return
            seen.append(message["body"])
            if not message["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"ok"})

    async def receive() -> Message:
        number, body = next(parts)
        return {"type": "http.request", "body": body, "more_body": number < len(bodies)}

    async def send(message: Message) -> None:
        sent.append(message)

    await BoundedBodies(application, max_bytes)({"type": "http"}, receive, send)
    return sent, seen


async def test_a_body_of_just_the_limit_passes() -> None:
    sent, seen = await ask([b"x" * 600, b"x" * 400], max_bytes=1000)
    assert sent[0]["status"] == 200
    assert b"".join(seen) == b"x" * 1000


async def test_a_chunked_body_beyond_the_limit_is_answered_413_and_not_read_on() -> None:
    sent, seen = await ask([b"x" * 600, b"x" * 401, b"x" * 5000], max_bytes=1000)
    assert [message.get("status") for message in sent] == [413, None]
    assert seen == [b"x" * 600]
