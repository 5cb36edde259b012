"""What the scripted model sees: the request of the Messages API, reduced to the steps taken so far."""

import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

_WORKING_DIRECTORY = re.compile(r"[Ww]orking directory: (/\S+)")


@dataclass(frozen=True)
class Step:
    """One tool call of an earlier turn, together with what came back."""

    tool: str
    arguments: Mapping[str, Any]
    output: str
    failed: bool


@dataclass(frozen=True)
class Conversation:
    tools: frozenset[str]
    steps: tuple[Step, ...]
    text: str
    working_directory: str | None

    def steps_of(self, tool: str) -> tuple[Step, ...]:
        return tuple(step for step in self.steps if step.tool == tool)


def read_conversation(request: Mapping[str, Any]) -> Conversation:
    messages = request.get("messages") or []
    spoken = "\n".join(
        [
            *_texts(request.get("system")),
            *(text for message in messages for text in _texts(message.get("content"))),
        ]
    )
    directory = _WORKING_DIRECTORY.search(spoken)
    return Conversation(
        tools=frozenset(str(tool.get("name")) for tool in request.get("tools") or []),
        steps=tuple(_steps(messages)),
        text=spoken,
        working_directory=directory.group(1) if directory else None,
    )


def _steps(messages: Sequence[Mapping[str, Any]]) -> Iterator[Step]:
    results = {str(block.get("tool_use_id")): block for block in _blocks(messages, "tool_result")}
    for call in _blocks(messages, "tool_use"):
        result = results.get(str(call.get("id")), {})
        yield Step(
            tool=str(call.get("name")),
            arguments=call.get("input") or {},
            output="\n".join(_texts(result.get("content"))),
            failed=bool(result.get("is_error")),
        )


def _blocks(messages: Sequence[Mapping[str, Any]], kind: str) -> Iterator[Mapping[str, Any]]:
    for message in messages:
        content = message.get("content")
        if isinstance(content, list):
            yield from (block for block in content if block.get("type") == kind)


def _texts(content: Any) -> Iterator[str]:
    """The texts of a `content` or `system` field, which is a string or a list of blocks."""
    if isinstance(content, str):
        yield content
    elif isinstance(content, list):
        yield from (str(block.get("text", "")) for block in content if block.get("type") == "text")
