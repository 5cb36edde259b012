"""What a model's provider sends in place of an answer: an account's own may send anything."""

import json
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from temporalio.exceptions import ApplicationError
from temporalio.testing import ActivityEnvironment

from tests.metrics.serving import serving
from workflows.activities.consulting import MAX_LINE_BYTES, Call, ConsultationRefused, ask

CALL = Call("token", "a-model", "Which?", "", 100)
STOP: dict[str, object] = {"type": "message_stop"}


def delta(text: object) -> dict[str, object]:
    return {"type": "content_block_delta", "delta": {"type": "text_delta", "text": text}}


class Provider:
    """Stands where the gateway listens, and says what a test tells it to."""

    def __init__(self, socket_path: Path) -> None:
        self.socket_path = socket_path
        self.status = 200
        self.body = b""
        self.is_endless = False

    def says(self, *events: object) -> None:
        self.body = b"".join(b"data: " + json.dumps(event).encode() + b"\n\n" for event in events)

    async def __call__(self, scope: dict[str, Any], receive: Any, send: Any) -> None:
        if scope["type"] != "http":
            return
        await receive()
        await send({"type": "http.response.start", "status": self.status, "headers": []})
        sent = 0
        while self.is_endless and sent < 4 * MAX_LINE_BYTES:
            await send({"type": "http.response.body", "body": self.body, "more_body": True})
            sent += len(self.body)
        await send({"type": "http.response.body", "body": self.body})

    def answer(self) -> str:
        return str(ActivityEnvironment().run(lambda: ask(CALL, account_id=1, wanted_by=(), seconds=20)))


@pytest.fixture
def provider(settings: Any) -> Iterator[Provider]:
    with tempfile.TemporaryDirectory(prefix="paid-ask-") as directory:
        path = Path(directory) / "provider.sock"
        found = Provider(path)
        settings.GATEWAY_SOCKET = path
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(path))
            listener.listen()
            with serving(found, listener):
                yield found


@pytest.mark.django_db
def test_an_answer_is_put_together_and_fits_into_the_database(provider: Provider):
    provider.says({"type": "message_start"}, delta("ä \0 and"), delta(" \ud83d half"), delta(3), {"delta": [1]}, STOP)
    assert provider.answer() == "ä \N{REPLACEMENT CHARACTER} and ? half"


@pytest.mark.django_db
def test_a_line_without_end_is_not_kept(provider: Provider):
    provider.is_endless, provider.body = True, b"data: " + b"x" * 65_536
    with pytest.raises(ConsultationRefused, match="too long"):
        provider.answer()


@pytest.mark.django_db
@pytest.mark.parametrize("event", ["[" * 200_000, "3", "{"])
def test_an_event_that_cannot_be_read_may_be_asked_for_again(provider: Provider, event: str):
    provider.body = f"data: {event}\n\n".encode()
    with pytest.raises(ApplicationError, match="cannot be read"):
        provider.answer()


@pytest.mark.django_db
def test_a_refusal_is_told_in_words_that_fit_into_the_database(provider: Provider):
    provider.status, provider.body = 400, json.dumps({"error": {"message": "No\0 \ud83d"}}).encode()
    with pytest.raises(ConsultationRefused) as raised:
        provider.answer()
    assert str(raised.value) == "The model could not be asked (400): No\N{REPLACEMENT CHARACTER} ?"
