"""The scripted model's ASGI application: Messages API, token counting, counters at `GET /counters`."""

import asyncio
import hashlib
import json
import uuid
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from metrics.scripted_model.answer import Answer, build_answer
from metrics.scripted_model.conversation import Conversation, read_conversation
from metrics.scripted_model.counters import Counters
from metrics.scripted_model.knowledge import Knowledge, load_knowledge
from metrics.scripted_model.player import ToolCall, Turn, next_turn
from metrics.scripted_model.scenarios import Refusal, Scenario, scenario_of
from metrics.scripted_model.usage import count_input, tokens_of

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

MAX_REQUEST_BYTES = 32 * 1024 * 1024
# How many pieces of content go out before a scenario stalls or breaks off.
PIECES_BEFORE_TROUBLE = 3
GATE_SECONDS = 0.05


@dataclass(frozen=True)
class Call:
    """One authenticated request of the Messages API, and how to answer it."""

    request_id: str
    api_key: str
    body: Mapping[str, Any]
    scenario: Scenario
    receive: Receive
    send: Send


@dataclass
class ScriptedModel:
    """`delay_seconds` paces the stream: one delay before each piece, ten before the first.

    `gate` is a directory in which somebody may put `hold-answer`: the next answer then stops in its middle, says so
    by `reached-answer`, and goes on once the first file is gone.
    """

    delay_seconds: float = 0.0
    gate: Path | None = None
    knowledge: Knowledge = field(default_factory=load_knowledge)
    counters: Counters = field(default_factory=Counters)
    refused_once: set[str] = field(default_factory=set)

    async def __call__(self, scope: Message, receive: Receive, send: Send) -> None:
        if scope["type"] == "lifespan":
            await _answer_lifespan(receive, send)
            return
        route = (scope["method"], scope["path"])
        if route == ("GET", "/healthz"):
            await _send_json(send, 200, {"status": "ok"})
        elif route == ("GET", "/counters"):
            await _send_json(send, 200, self.counters.as_dict())
        elif route in {("POST", "/v1/messages"), ("POST", "/v1/messages/count_tokens")}:
            await self._answer_api(scope, receive, send)
        else:
            await _send_refusal(send, Refusal(404, "not_found_error", f"There is nothing at {scope['path']}."))

    async def _answer_api(self, scope: Message, receive: Receive, send: Send) -> None:
        api_key = _api_key(scope)
        if not api_key:
            await _send_refusal(send, Refusal(401, "authentication_error", "An x-api-key or bearer token is needed."))
            return
        raw = await _read_body(receive)
        body = _parse(raw, needs_limit=scope["path"] == "/v1/messages")
        if body is None:
            await _send_refusal(send, Refusal(400, "invalid_request_error", "The body is not a Messages API request."))
            return
        if scope["path"].endswith("/count_tokens"):
            await _send_json(send, 200, {"input_tokens": sum(count_input(body))})
            return
        scenario = scenario_of(str(body["model"]))
        if (refusal := self._refusal(scenario, raw)) is not None:
            await _send_refusal(send, refusal)
            return
        call = Call(f"req_{uuid.uuid4().hex[:24]}", api_key, body, scenario, receive, send)
        answer = self._compose(call)
        if body.get("stream"):
            await self._stream(call, answer)
        else:
            self._count(call, answer, is_complete=True)
            await _send_json(send, 200, answer.message(), call.request_id)

    def _refusal(self, scenario: Scenario, raw: bytes) -> Refusal | None:
        if scenario.refusal is None or not scenario.refuses_once:
            return scenario.refusal
        digest = hashlib.sha256(raw).hexdigest()
        if digest in self.refused_once:
            return None
        self.refused_once.add(digest)
        return scenario.refusal

    def _compose(self, call: Call) -> Answer:
        conversation = read_conversation(call.body)
        is_endless = call.scenario.is_endless
        turn = _one_more_step(conversation) if is_endless else next_turn(conversation, self.knowledge)
        return build_answer(call.body, turn, hidden_output_tokens=call.scenario.hidden_output_tokens)

    async def _stream(self, call: Call, answer: Answer) -> None:
        gone = asyncio.Event()
        watch = asyncio.create_task(_watch_for_disconnect(call.receive, gone))
        try:
            await self._stream_until(gone, call, answer)
        finally:
            watch.cancel()

    async def _stream_until(self, gone: asyncio.Event, call: Call, answer: Answer) -> None:
        """Counts before the last byte leaves, so that who has read the answer finds it counted."""
        await _send_head(call.send, 200, b"text/event-stream; charset=utf-8", call.request_id)
        await _pause(gone, self.delay_seconds * 10)
        sent, pieces, is_troubled = "", 0, call.scenario.stalls or call.scenario.breaks_off
        for event in answer.events():
            if gone.is_set() or (is_troubled and pieces == PIECES_BEFORE_TROUBLE):
                cut = replace(answer, usage=replace(answer.usage, output_tokens=max(1, tokens_of(sent))))
                self._count(call, cut, is_complete=False)
                if call.scenario.stalls:
                    await gone.wait()
                # Returning without the closing message makes the server drop the connection.
                return
            if pieces == PIECES_BEFORE_TROUBLE:
                await self._wait_at_gate(gone)
            if event.content:
                await _pause(gone, self.delay_seconds)
                sent, pieces = sent + event.content, pieces + 1
            if event.name == "message_stop":
                self._count(call, answer, is_complete=True)
            await call.send({"type": "http.response.body", "body": event.encode(), "more_body": True})
        await call.send({"type": "http.response.body", "body": b""})

    async def _wait_at_gate(self, gone: asyncio.Event) -> None:
        if self.gate is None or not (self.gate / "hold-answer").exists():
            return
        (self.gate / "reached-answer").touch()
        while (self.gate / "hold-answer").exists() and not gone.is_set():
            await _pause(gone, GATE_SECONDS)

    def _count(self, call: Call, answer: Answer, *, is_complete: bool) -> None:
        self.counters.add(
            request_id=call.request_id,
            model=answer.model,
            api_key=call.api_key,
            usage=answer.usage,
            is_complete=is_complete,
        )


def _one_more_step(conversation: Conversation) -> Turn:
    number = len(conversation.steps) + 1
    call = ToolCall("Bash", {"command": f"sleep 0.2; echo step {number}", "description": "Go on"})
    return Turn(f"Step {number}.", (call,))


def _api_key(scope: Message) -> str:
    headers = {name.lower(): value.decode("latin-1") for name, value in scope["headers"]}
    bearer: str = headers.get(b"authorization", "")
    if bearer.lower().startswith("bearer "):
        return bearer[7:].strip()
    key: str = headers.get(b"x-api-key", "")
    return key.strip()


def _parse(raw: bytes, *, needs_limit: bool) -> dict[str, Any] | None:
    try:
        body = json.loads(raw)
    except ValueError:
        return None
    if not isinstance(body, dict) or not isinstance(body.get("model"), str):
        return None
    if not isinstance(body.get("messages"), list) or not body["messages"]:
        return None
    if needs_limit and (not isinstance(body.get("max_tokens"), int) or body["max_tokens"] < 1):
        return None
    return body


async def _read_body(receive: Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            return b""
        parts.append(message.get("body", b""))
        size += len(parts[-1])
        if size > MAX_REQUEST_BYTES:
            return b""
        if not message.get("more_body", False):
            return b"".join(parts)


async def _watch_for_disconnect(receive: Receive, gone: asyncio.Event) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
    gone.set()


async def _pause(gone: asyncio.Event, seconds: float) -> None:
    if seconds > 0:
        try:
            await asyncio.wait_for(gone.wait(), seconds)
        except TimeoutError:
            return


async def _answer_lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        await send({"type": f"{message['type']}.complete"})
        if message["type"] == "lifespan.shutdown":
            return


async def _send_head(send: Send, status: int, content_type: bytes, request_id: str) -> None:
    headers = [(b"content-type", content_type), (b"cache-control", b"no-cache")]
    headers.append((b"request-id", request_id.encode()))
    await send({"type": "http.response.start", "status": status, "headers": headers})


async def _send_json(send: Send, status: int, body: Mapping[str, Any], request_id: str = "") -> None:
    await _send_head(send, status, b"application/json", request_id or f"req_{uuid.uuid4().hex[:24]}")
    await send({"type": "http.response.body", "body": json.dumps(body, ensure_ascii=False).encode()})


async def _send_refusal(send: Send, refusal: Refusal) -> None:
    body = {"type": "error", "error": {"type": refusal.kind, "message": refusal.message}}
    await _send_json(send, refusal.status, body)
