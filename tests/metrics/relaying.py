"""A network between a client and PostgreSQL that fails in its own ways."""

import select
import socket
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_TEXT = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
LAST_WORDS = b"E" + struct.pack("!I", len(_TEXT) + 4) + _TEXT
LOOK_SECONDS = 0.01


class Relay:
    """Passes on one connection, until it is told to fall silent or to end with what a server says when it stops.

    `reads_nothing` and `has_ended` are set when it has come so far: its client's thread is another one.
    """

    def __init__(self, host: str, port: int) -> None:
        self._server = (host, port)
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_silent = threading.Event()
        self.says_its_last_words = threading.Event()
        self.reads_nothing = threading.Event()
        self.has_ended = threading.Event()
        self._is_over = threading.Event()
        self._thread = threading.Thread(target=self._pass_on, daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._is_over.set()
        self._listener.close()
        self._thread.join(10)

    def _pass_on(self) -> None:
        with suppress(OSError):
            client, _ = self._listener.accept()
            with client, socket.create_connection(self._server) as server:
                while not self._is_over.is_set():
                    if self.says_its_last_words.is_set():
                        self.reads_nothing.set()
                        self._end(client)
                        break
                    if self.is_silent.is_set():
                        self._is_over.wait(LOOK_SECONDS)
                        continue
                    ready, _, _ = select.select([client, server], [], [], LOOK_SECONDS)
                    for one, other in ((client, server), (server, client)):
                        if one in ready:
                            data = one.recv(65536)
                            if not data:
                                return
                            other.sendall(data)
        self.has_ended.set()

    def _end(self, client: socket.socket) -> None:
        """With the next question unread, so that the network says no more than that the connection was reset."""
        while not self._is_over.is_set() and not select.select([client], [], [], LOOK_SECONDS)[0]:
            pass
        client.sendall(LAST_WORDS)
