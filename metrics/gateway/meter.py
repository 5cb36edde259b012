"""Counts a call's tokens from the bytes that pass, without holding any of them back."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from metrics.gateway.anthropic import Tokens, tokens_of

# An event longer than this is not one of the API's: stop keeping it, the bytes themselves pass on.
MAX_EVENT_BYTES = 8 * 1024 * 1024


class StreamMeter:
    """Reads server-sent events from chunks that may end anywhere."""

    def __init__(self) -> None:
        self.reported = Tokens()
        self.is_started = False
        self.is_complete = False
        self._content_bytes = 0
        self._rest = b""

    @property
    def tokens(self) -> Tokens:
        """What the provider said; of an answer that broke off, at least what was seen of its text."""
        if self.is_complete:
            return self.reported
        seen = max(self.reported.output, -(-self._content_bytes // 4))
        known = self.reported
        return replace(known, output=seen)

    def feed(self, chunk: bytes) -> None:
        *lines, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > MAX_EVENT_BYTES:
            self._rest = b""
        for line in lines:
            if line.startswith(b"data:"):
                self._read(line[5:])

    def _read(self, data: bytes) -> None:
        try:
            event = json.loads(data)
        except (ValueError, RecursionError):
            return
        if not isinstance(event, dict):
            return
        match event.get("type"):
            case "message_start":
                self.is_started = True
                self._take(event.get("message"))
            case "message_delta":
                self._take(event)
            case "content_block_delta":
                self._content_bytes += _size_of(event.get("delta"))
            case "message_stop":
                self.is_complete = True

    def _take(self, holder: Any) -> None:
        usage = holder.get("usage") if isinstance(holder, Mapping) else None
        if isinstance(usage, Mapping):
            self.reported = tokens_of(usage, self.reported)


def tokens_of_message(body: bytes) -> Tokens | None:
    """The usage of an answer that came in one piece; None when it tells none."""
    try:
        message = json.loads(body)
    except (ValueError, RecursionError):
        return None
    usage = message.get("usage") if isinstance(message, dict) else None
    return tokens_of(usage) if isinstance(usage, Mapping) else None


def _size_of(delta: Any) -> int:
    if not isinstance(delta, Mapping):
        return 0
    texts = (delta.get(field) for field in ("text", "partial_json", "thinking"))
    return sum(len(text.encode()) for text in texts if isinstance(text, str))
