"""The Anthropic Messages API as far as the gateway must know it: requests, errors, headers and usage."""

import json
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from http import HTTPStatus
from typing import Any

Headers = list[tuple[bytes, bytes]]

# What a provider may know of a request. All else stays here: who runs the agent, where, on what machine.
FORWARDED_REQUEST_HEADERS = frozenset({b"accept", b"content-type", b"anthropic-version", b"anthropic-beta"})
FORWARDED_RESPONSE_HEADERS = frozenset(
    {b"content-type", b"cache-control", b"request-id", b"retry-after", b"x-should-retry"}
)
# More than any model answers with; the database counts in bigint.
MOST_TOKENS = 10_000_000
MODEL = re.compile(r"[!-~]{1,200}")
# By their names without the date of their version. Tools that the agent itself runs (bash, text editor) stay.
SERVER_TOOLS = ("web_search", "web_fetch", "code_execution", "mcp_toolset")
# Fields that change what a token costs, with the values that do not: prices are those of the model's price list.
AT_LIST_PRICE: Mapping[str, tuple[str | None, ...]] = {
    "speed": (None, "standard"),
    "service_tier": (None, "auto", "standard_only"),
    "inference_geo": (None, "global"),
}
# The value of a `ttl`, however the client writes JSON: any letter may be escaped.
HOUR_CACHE = re.compile(rb'"(?:1|\\u0031)(?:h|\\u0068)"')
RATE_LIMIT_PREFIX = b"anthropic-ratelimit-"


class InvalidRequest(Exception):
    """The body is not a request of the Messages API."""


@dataclass(frozen=True)
class MessagesRequest:
    body: bytes
    model: str
    # 0 where the API takes none: counting tokens.
    max_tokens: int

    @property
    def input_estimate(self) -> int:
        """Tokens, as four bytes each: what a call is settled with when the provider never said."""
        return len(self.body) // 4

    @property
    def input_limit(self) -> int:
        """Tokens, as two bytes each: more than any text of a request has been seen to take."""
        return len(self.body) // 2 + 1

    @property
    def is_kept_an_hour(self) -> bool:
        """Whether it may ask for a cache of an hour. A text that only says so costs a larger hold, nothing else."""
        return HOUR_CACHE.search(self.body) is not None


@dataclass(frozen=True)
class Tokens:
    """One call's tokens. The classes do not overlap, but for `cache_write_1h`: so many of `cache_write` are kept for
    an hour, at a price of their own.
    """

    input: int = 0
    output: int = 0
    cache_read: int = 0
    cache_write: int = 0
    cache_write_1h: int = 0


@dataclass(frozen=True)
class Refusal:
    """An error in the API's own shape. 403 ends an agent's run at once; 429 and 5xx would be retried."""

    status: HTTPStatus
    kind: str
    message: str

    @property
    def body(self) -> bytes:
        return json.dumps({"type": "error", "error": {"type": self.kind, "message": self.message}}).encode()


def forbidden(message: str) -> Refusal:
    return Refusal(HTTPStatus.FORBIDDEN, "permission_error", message)


def parse_request(body: bytes, *, needs_limit: bool) -> MessagesRequest:
    """Raises InvalidRequest with words for whoever wrote the client."""
    try:
        data = json.loads(body, object_pairs_hook=_without_doubles)
    except (ValueError, RecursionError) as error:
        raise InvalidRequest("The body is not JSON.") from error
    if not isinstance(data, dict) or not isinstance(data.get("model"), str) or not MODEL.fullmatch(data["model"]):
        raise InvalidRequest("The body names no model.")
    max_tokens = data.get("max_tokens", 0)
    if type(max_tokens) is not int or not (1 if needs_limit else 0) <= max_tokens <= MOST_TOKENS:
        raise InvalidRequest("max_tokens must be a positive integer: the call's cost is bounded by it.")
    if reach := _reach_of(data):
        raise InvalidRequest(f"The gateway does not pass {reach}: the provider would reach the network for the agent.")
    if field := _dearer_field_of(data):
        raise InvalidRequest(f"The gateway does not pass this {field}: a token would cost more than its listed price.")
    return MessagesRequest(body, data["model"], max_tokens)


def _without_doubles(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    """Readers differ on which of two equal names counts: what is checked here must be what the provider reads."""
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidRequest("An object of the body names a field twice.")
    return found


def _dearer_field_of(data: Mapping[str, Any]) -> str:
    """The first field of a request with which a token may cost more than the price that is held and booked for it."""
    return next((field for field, listed in AT_LIST_PRICE.items() if data.get(field) not in listed), "")


def _reach_of(data: Mapping[str, Any]) -> str:
    """What in a request would let the provider fetch, search, run or send something: a way out of the sandbox that is
    no network to the sandbox, and that no price of a token pays for. Empty when there is none.
    """
    for field in ("mcp_servers", "container"):
        if data.get(field):
            return field
    tools = data.get("tools")
    for tool in tools if isinstance(tools, list) else ():
        kind = tool.get("type") if isinstance(tool, Mapping) else None
        if isinstance(kind, str) and kind.startswith(SERVER_TOOLS):
            return f"the tool {kind[:50]}"
    return "addresses of files" if _has_url_source(data.get("messages")) else ""


def _has_url_source(messages: Any) -> bool:
    """Images and documents of a message, or of a tool's result in it, that the provider would have to fetch."""
    waiting = list(messages) if isinstance(messages, list) else []
    while waiting:
        block = waiting.pop()
        if not isinstance(block, Mapping):
            continue
        source = block.get("source")
        if isinstance(source, Mapping):
            if source.get("type") == "url":
                return True
            waiting += _blocks(source)
        waiting += _blocks(block)
    return False


def _blocks(holder: Mapping[str, Any]) -> list[Any]:
    content = holder.get("content")
    return content if isinstance(content, list) else []


def tokens_of(usage: Mapping[str, Any], before: Tokens = Tokens()) -> Tokens:
    """The counts of a `usage` object; what it leaves out stays as it was. Later objects repeat, they never add."""

    def count(field: str, known: int, holder: Mapping[str, Any] = usage) -> int:
        value = holder.get(field)
        # Not `isinstance`: true and false are integers to Python, and no number to the database.
        return value if type(value) is int and 0 <= value <= MOST_TOKENS else known

    cache_write = count("cache_creation_input_tokens", before.cache_write)
    by_time = usage.get("cache_creation")
    hour = before.cache_write_1h
    if isinstance(by_time, Mapping):
        hour = count("ephemeral_1h_input_tokens", hour, by_time)
    return Tokens(
        input=count("input_tokens", before.input),
        output=count("output_tokens", before.output),
        cache_read=count("cache_read_input_tokens", before.cache_read),
        cache_write=cache_write,
        cache_write_1h=min(hour, cache_write),
    )


def request_headers(headers: Iterable[tuple[bytes, bytes]], key: str) -> Headers:
    kept = [(name.lower(), value) for name, value in headers if name.lower() in FORWARDED_REQUEST_HEADERS]
    # Compressed answers could not be counted without unpacking them first.
    return [*kept, (b"accept-encoding", b"identity"), (b"x-api-key", key.encode())]


def response_headers(headers: Iterable[tuple[bytes, bytes]]) -> Headers:
    return [
        (name.lower(), value)
        for name, value in headers
        if name.lower() in FORWARDED_RESPONSE_HEADERS or name.lower().startswith(RATE_LIMIT_PREFIX)
    ]


def bearer_token(headers: Iterable[tuple[bytes, bytes]]) -> str:
    """The run token, sent as a bearer token or, by clients that know only keys, as `x-api-key`."""
    found: dict[bytes, str] = {}
    found = {name.lower(): value.decode("latin-1").strip() for name, value in headers}
    scheme, _, token = found.get(b"authorization", "").partition(" ")
    return token.strip() if scheme.lower() == "bearer" else found.get(b"x-api-key", "")
