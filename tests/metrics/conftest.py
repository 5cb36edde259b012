"""The scripted model over real HTTP, and the gateway before it on a real Unix socket."""

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from metrics.gateway import settler
from metrics.gateway.server import build_gateway, listening_socket
from metrics.scripted_model.app import ScriptedModel
from tests.agent_runs.processes import wait_until
from tests.metrics.serving import serving, tcp_socket


@dataclass(frozen=True)
class ModelServer:
    url: str
    model: ScriptedModel

    def counters(self) -> dict[str, Any]:
        counters: dict[str, Any] = httpx.get(f"{self.url}/counters", timeout=60).json()
        return counters


@dataclass(frozen=True)
class GatewayServer:
    socket: Path
    upstream: ModelServer

    def client(self, token: str) -> httpx.Client:
        return httpx.Client(
            transport=httpx.HTTPTransport(uds=str(self.socket)),
            base_url="http://gateway.local",
            headers={"authorization": f"Bearer {token}", "anthropic-version": "2023-06-01"},
            timeout=180,
        )


@pytest.fixture
def model_server() -> Iterator[ModelServer]:
    listener = tcp_socket()
    model = ScriptedModel()
    with serving(model, listener):
        yield ModelServer(f"http://127.0.0.1:{listener.getsockname()[1]}", model)


@pytest.fixture
def start_gateway(
    transactional_db: None, model_server: ModelServer, settings: Any, monkeypatch: pytest.MonkeyPatch
) -> Iterator[Callable[[], GatewayServer]]:
    """Starts the gateway; a second call stops the first and starts it anew, as after a crash."""
    # Tests read the ledger as soon as they have an answer: its last bytes wait for it, however slow the machine is.
    monkeypatch.setattr(settler, "WAIT_SECONDS", 120)
    settings.SCRIPTED_MODEL_URL = model_server.url
    settings.PROVIDER_HOSTS = [model_server.url.removeprefix("http://"), "127.0.0.1:9"]
    # A Unix socket's path is at most 107 bytes: pytest's own directories are longer.
    with tempfile.TemporaryDirectory(prefix="paid-gw-") as directory:
        path = Path(directory) / "gateway.sock"
        running: list[Any] = []

        def start() -> GatewayServer:
            if running:
                running.pop().__exit__(None, None, None)
            context = _serving_gateway(path)
            context.__enter__()
            running.append(context)
            return GatewayServer(path, model_server)

        yield start
        while running:
            running.pop().__exit__(None, None, None)


@pytest.fixture
def gateway(start_gateway: Callable[[], GatewayServer]) -> GatewayServer:
    return start_gateway()


class _serving_gateway:
    """The gateway as `manage.py gateway` builds it, under one lasting id."""

    def __init__(self, path: Path) -> None:
        self._listening = listening_socket(path)

    def __enter__(self) -> None:
        gateway = build_gateway("test-gateway")
        # A hundred calls share eight connections: on a slow machine that is not a database that is away.
        gateway.ledger._pool.timeout = 120
        self._serving = serving(gateway, self._listening.__enter__())
        self._serving.__enter__()

    def __exit__(self, *error: Any) -> None:
        self._serving.__exit__(*error)
        self._listening.__exit__(*error)


@pytest.fixture
def eventually() -> Callable[[Callable[[], bool]], None]:
    """Asks again until it holds, for at most two minutes: for what happens behind the last byte."""

    def wait(holds: Callable[[], bool]) -> None:
        try:
            wait_until(holds, 120)
        except AssertionError as error:
            pytest.fail(str(error))

    return wait
