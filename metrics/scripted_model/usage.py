"""How the scripted model counts tokens: four UTF-8 bytes are one token, and the cache follows the request.

Counts depend on the request and the answer alone, so the same call costs the same on every machine.
"""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

BYTES_PER_TOKEN = 4
# What a provider's framing of a request costs beyond its content.
FRAMING_TOKENS = 3


@dataclass(frozen=True)
class Usage:
    """The field names are the Messages API's own."""

    input_tokens: int
    cache_creation_input_tokens: int
    cache_read_input_tokens: int
    output_tokens: int

    def as_dict(self) -> dict[str, int]:
        return asdict(self)


def tokens_of(text: str) -> int:
    return -(-len(text.encode()) // BYTES_PER_TOKEN)


def count_input(request: Mapping[str, Any]) -> tuple[int, int, int]:
    """(uncached, written to the cache, read from the cache).

    With a `cache_control` mark, everything up to the last mark is cacheable, and what stood there before
    the latest assistant turn was written by the call before this one. Without a mark nothing is cached.
    """
    prefix = _size(request.get("tools") or []) + _size(request.get("system") or "")
    messages = list(request.get("messages") or [])
    sizes = [_size(message) for message in messages]
    total = prefix + sum(sizes)
    marked = [index for index, message in enumerate(messages) if _has_mark(message)]
    if marked:
        cacheable = prefix + sum(sizes[: marked[-1] + 1])
    elif _has_mark(request.get("tools")) or _has_mark(request.get("system")):
        cacheable = prefix
    else:
        return total + FRAMING_TOKENS, 0, 0
    turns = [index for index, message in enumerate(messages) if message.get("role") == "assistant"]
    read = min(prefix + sum(sizes[: turns[-1]]), cacheable) if turns else 0
    return total - cacheable + FRAMING_TOKENS, cacheable - read, read


def _size(value: Any) -> int:
    return tokens_of(value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True))


def _has_mark(value: Any) -> bool:
    if isinstance(value, Mapping):
        return "cache_control" in value or any(_has_mark(item) for item in value.values())
    return isinstance(value, list) and any(_has_mark(item) for item in value)
