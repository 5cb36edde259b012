"""Serves an ASGI application over real sockets, from a thread of the test."""

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import uvicorn


def tcp_socket() -> socket.socket:
    return socket.create_server(("127.0.0.1", 0))


@contextmanager
def serving(application: Any, listener: socket.socket) -> Iterator[None]:
    """Returns once the application has started; leaves once it has shut down in order."""
    started = threading.Event()

    class Server(uvicorn.Server):
        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets=sockets)
            started.set()

    server = Server(uvicorn.Config(application, log_level="critical", lifespan="auto", timeout_graceful_shutdown=3))
    thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, daemon=True)
    thread.start()
    assert started.wait(60), "the server did not start"
    try:
        yield
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive(), "the server did not stop"
