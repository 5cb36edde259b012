"""The gateway as operators run it: a process of its own, killed without mercy."""

import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from django.conf import settings
from django.db import connections

from metrics.gateway.server import GatewayCannotStart, listening_socket
from metrics.models import GatewayCall, TokenUsage
from metrics.operations import open_escrow
from paid.lib.tenancy import platform
from tests.metrics.conftest import ModelServer
from tests.metrics.records import make_run, make_tenant

Eventually = Callable[[Callable[[], bool]], None]


def database_url() -> str:
    """The test database as the application's role, for a process that reads its settings itself."""
    of = connections["default"].settings_dict
    host = quote(str(of["HOST"]), safe="")
    return f"postgresql://{of['USER']}:{quote(str(of['PASSWORD']))}@{host}:{of['PORT']}/{of['NAME']}"


@contextmanager
def gateway_process(socket: Path, model_url: str) -> Iterator["subprocess.Popen[bytes]"]:
    environment = os.environ | {"DATABASE_URL": database_url(), "SCRIPTED_MODEL_URL": model_url}
    command = [sys.executable, str(settings.BASE_DIR / "manage.py"), "gateway", "--socket", str(socket)]
    process = subprocess.Popen(command, env=environment, start_new_session=True)
    try:
        yield process
    finally:
        process.terminate()
        try:
            process.wait(60)
        finally:
            process.kill()


def is_up(socket: Path) -> bool:
    try:
        with httpx.Client(transport=httpx.HTTPTransport(uds=str(socket))) as client:
            return client.get("http://gateway.local/healthz").status_code == 200
    except httpx.TransportError:
        return False


@pytest.fixture
def socket_path() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="paid-gw-") as directory:
        yield Path(directory) / "gateway.sock"


@pytest.mark.django_db(transaction=True)
def test_a_gateway_killed_in_mid_stream_loses_no_ledger_row(
    socket_path: Path, model_server: ModelServer, eventually: Eventually
) -> None:
    open_escrow(run=make_run(make_tenant("scripted-stall"), token="t"))
    body: dict[str, Any] = {"model": "scripted-stall", "max_tokens": 100, "stream": True}
    body |= {"messages": [{"role": "user", "content": "Hi"}]}
    body |= {"tools": [{"name": name, "input_schema": {}} for name in ("Bash", "Edit", "Read")]}

    def noted() -> bool:
        with platform():
            return GatewayCall.objects.filter(input_tokens=model_server.counters()["total"]["input_tokens"]).exists()

    def settled() -> bool:
        with platform():
            return TokenUsage.objects.exists() and not GatewayCall.objects.exists()

    with gateway_process(socket_path, model_server.url) as gateway:
        eventually(lambda: is_up(socket_path))
        with (
            httpx.Client(transport=httpx.HTTPTransport(uds=str(socket_path)), timeout=60) as client,
            client.stream(
                "POST", "http://gateway.local/v1/messages", json=body, headers={"authorization": "Bearer t"}
            ) as response,
        ):
            # Kept until the end: an iterator that goes away hangs up.
            chunks = response.iter_raw()
            assert b"message_start" in next(chunks)
            eventually(noted)
            gateway.send_signal(signal.SIGKILL)
            gateway.wait(10)
    with platform():
        assert not TokenUsage.objects.exists()
    with gateway_process(socket_path, model_server.url):
        eventually(settled)
    with platform():
        row = TokenUsage.objects.get()
    assert row.is_estimated
    assert row.input_tokens == model_server.counters()["total"]["input_tokens"]


def test_a_second_gateway_on_one_socket_says_so(socket_path: Path) -> None:
    with listening_socket(socket_path), pytest.raises(GatewayCannotStart, match="Another gateway serves"):
        listening_socket(socket_path).__enter__()


def test_a_socket_path_that_is_too_long_is_refused_with_what_to_do(tmp_path: Path) -> None:
    with pytest.raises(GatewayCannotStart, match="Set GATEWAY_SOCKET to a shorter one"):
        listening_socket(tmp_path / ("x" * 120)).__enter__()
