"""The gateway counts the same, however a provider's stream is cut, and takes any bytes for what they are."""

import contextlib
import itertools
import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from metrics.gateway.anthropic import InvalidRequest, Tokens, parse_request
from metrics.gateway.meter import StreamMeter, tokens_of_message

counts = st.integers(0, 100_000)
anything = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=12), inner, max_size=3),
    max_leaves=8,
)
CLASSES = ["input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens"]
usages = st.dictionaries(st.sampled_from(CLASSES), anything)
requests = st.fixed_dictionaries({"model": anything, "max_tokens": anything, "messages": st.just([])})
bodies = st.binary(max_size=80) | (anything | requests | st.fixed_dictionaries({"usage": usages})).map(
    lambda value: json.dumps(value).encode()
)
events = st.fixed_dictionaries(
    {"type": st.sampled_from(["message_start", "message_delta", "content_block_delta", "message_stop"]) | anything},
    optional={"message": st.fixed_dictionaries({"usage": usages}) | anything, "usage": usages | anything,
              "delta": st.dictionaries(st.sampled_from(["text", "partial_json", "thinking"]), anything) | anything},
)  # fmt: skip


def sent(*events: dict[str, Any]) -> bytes:
    return b"".join(f"event: {event.get('type')}\ndata: {json.dumps(event)}\n\n".encode() for event in events)


def cut(stream: bytes, places: list[int]) -> list[bytes]:
    bounds = [0, *sorted(place % (len(stream) + 1) for place in places), len(stream)]
    return [stream[start:end] for start, end in itertools.pairwise(bounds)]


@given(counts, counts, counts, counts, st.text(max_size=50), st.lists(st.integers(0, 10_000), max_size=12))
def test_a_stream_counts_the_same_wherever_it_is_cut(
    given_in: int, out: int, read: int, written: int, text: str, places: list[int]
):
    start = {"input_tokens": given_in, "output_tokens": 1, "cache_read_input_tokens": read}
    stream = sent(
        {"type": "message_start", "message": {"usage": start | {"cache_creation_input_tokens": written}}},
        {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}},
        {"type": "message_delta", "usage": {"output_tokens": out}},
        {"type": "message_stop"},
    )
    meter = StreamMeter()
    for chunk in cut(stream, places):
        meter.feed(chunk)
    assert meter.is_complete
    assert meter.tokens == Tokens(given_in, out, read, written)


@given(st.lists(st.binary(max_size=60) | events.map(lambda event: sent(event)), max_size=8))
@example([b"data: " + b"[" * 100_000 + b"\n"])
@example([b'data: {"type": []}\n'])
def test_no_bytes_of_a_provider_stop_the_count_or_make_it_negative(chunks: list[bytes]):
    meter = StreamMeter()
    for chunk in chunks:
        meter.feed(chunk)
    counted = meter.tokens
    assert all(type(number) is int and 0 <= number < 2**63 for number in vars(counted).values())


@given(bodies)
@example(b"[" * 100_000)
@example(b'{"usage": {"input_tokens": 100000000000000000000000}}')
@example(b'{"usage": {"input_tokens": true}}')
def test_an_answer_in_one_piece_has_counts_or_none(body: bytes):
    counted = tokens_of_message(body)
    assert counted is None or all(type(number) is int and 0 <= number < 2**63 for number in vars(counted).values())


@given(bodies)
@example(b"[" * 100_000)
@example(b'{"model": "m", "max_tokens": 100000000000000000000000}')
@example(b'{"model": "a\\u0000b", "max_tokens": 1}')
@example(b'{"model": "\\ud800", "max_tokens": 1}')
def test_a_request_is_understood_or_refused(body: bytes):
    request = None
    with contextlib.suppress(InvalidRequest):
        request = parse_request(body, needs_limit=True)
    if request is not None:
        assert 1 <= request.max_tokens < 2**31
        assert "\0" not in request.model
        request.model.encode()
