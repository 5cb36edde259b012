"""One answer of the scripted model in the Messages API's two forms: a JSON message, or server-sent events."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Any

from metrics.scripted_model.player import Turn
from metrics.scripted_model.usage import Usage, count_input, tokens_of

TEXT_PIECE_CHARACTERS = 24
JSON_PIECE_CHARACTERS = 60


@dataclass(frozen=True)
class Event:
    """One server-sent event; `content` is what of the answer's own text it carries."""

    name: str
    data: Mapping[str, Any]
    content: str = ""

    def encode(self) -> bytes:
        return f"event: {self.name}\ndata: {_compact({'type': self.name, **self.data})}\n\n".encode()


@dataclass(frozen=True)
class Answer:
    model: str
    message_id: str
    blocks: tuple[Mapping[str, Any], ...]
    stop_reason: str
    usage: Usage

    def message(self) -> dict[str, Any]:
        return self._envelope(list(self.blocks), self.stop_reason, self.usage)

    def events(self) -> Iterator[Event]:
        started = replace(self.usage, output_tokens=1)
        yield Event("message_start", {"message": self._envelope([], None, started)})
        yield Event("ping", {})
        for index, block in enumerate(self.blocks):
            yield from _block_events(index, block)
        closing = {"stop_reason": self.stop_reason, "stop_sequence": None}
        yield Event("message_delta", {"delta": closing, "usage": self.usage.as_dict()})
        yield Event("message_stop", {})

    def _envelope(self, content: list[Mapping[str, Any]], stop_reason: str | None, usage: Usage) -> dict[str, Any]:
        return {
            "id": self.message_id,
            "type": "message",
            "role": "assistant",
            "model": self.model,
            "content": content,
            "stop_reason": stop_reason,
            "stop_sequence": None,
            "usage": usage.as_dict(),
        }


def build_answer(request: Mapping[str, Any], turn: Turn, *, hidden_output_tokens: int = 0) -> Answer:
    """Ids are hashes of the request, so that the same conversation is answered byte for byte alike."""
    digest = hashlib.sha256(_compact(request).encode()).hexdigest()
    text, stop_reason = turn.text, "tool_use" if turn.tool_calls else "end_turn"
    limit = int(request["max_tokens"])
    blocks: list[Mapping[str, Any]] = []
    if tokens_of(text) > limit:
        # Longer than the caller allows: the answer ends in mid-sentence, as a provider's does.
        text, stop_reason = text.encode()[: limit * 4].decode(errors="ignore"), "max_tokens"
        turn = Turn(text)
    blocks.append({"type": "text", "text": text})
    for index, call in enumerate(turn.tool_calls):
        identity = f"toolu_{digest[index : index + 24]}"
        blocks.append({"type": "tool_use", "id": identity, "name": call.name, "input": dict(call.arguments)})
    output = tokens_of("".join(_content_of(block) for block in blocks))
    uncached, written, read = count_input(request)
    return Answer(
        model=str(request["model"]),
        message_id=f"msg_{digest[:24]}",
        blocks=tuple(blocks),
        stop_reason=stop_reason,
        usage=Usage(uncached, written, read, min(output + hidden_output_tokens, max(limit, output))),
    )


def _content_of(block: Mapping[str, Any]) -> str:
    return str(block["text"]) if block["type"] == "text" else _compact(block["input"])


def _block_events(index: int, block: Mapping[str, Any]) -> Iterator[Event]:
    content = _content_of(block)
    if block["type"] == "text":
        empty: dict[str, Any] = {"type": "text", "text": ""}
        kind, name, size = "text_delta", "text", TEXT_PIECE_CHARACTERS
    else:
        empty = {**block, "input": {}}
        kind, name, size = "input_json_delta", "partial_json", JSON_PIECE_CHARACTERS
    yield Event("content_block_start", {"index": index, "content_block": empty})
    for start in range(0, len(content), size):
        piece = content[start : start + size]
        yield Event("content_block_delta", {"index": index, "delta": {"type": kind, name: piece}}, piece)
    yield Event("content_block_stop", {"index": index})


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))
