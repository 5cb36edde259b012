"""A network between a client and PostgreSQL that fails in its own ways."""

import select
import socket
import ssl
import struct
import threading
from contextlib import suppress
from types import TracebackType
from typing import Self

_TEXT = b"SFATAL\0VFATAL\0C57P01\0Mterminating connection due to administrator command\0\0"
LAST_WORDS = b"E" + struct.pack("!I", len(_TEXT) + 4) + _TEXT
# The end of each answer: ReadyForQuery, outside a transaction.
ANSWERED = b"Z\0\0\0\5I"
_ASKS_FOR_TLS = struct.pack("!II", 8, 80877103)
LOOK_SECONDS = 0.01


class Relay:
    """Passes on one connection, until it is told to fall silent or to end with what a server says when it stops.

    `reads_nothing` and `has_ended` are set when it has come so far: its client's thread is another one.
    With `tls` the client speaks that to us; once `gathers` is set it gets answers whole, in records as long as can be.
    """

    def __init__(self, host: str, port: int, tls: ssl.SSLContext | None = None) -> None:
        self._server, self._tls = (host, port), tls
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        self.is_silent = threading.Event()
        self.gathers = threading.Event()
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
            gathered = b""
            if self._tls is not None:
                client = self._secured(client, self._tls)
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
                            if one is server and self.gathers.is_set():
                                gathered += data
                                if not gathered.endswith(ANSWERED):
                                    continue
                                data, gathered = gathered, b""
                            other.sendall(data)
        self.has_ended.set()

    @staticmethod
    def _secured(client: socket.socket, tls: ssl.SSLContext) -> ssl.SSLSocket:
        if client.recv(len(_ASKS_FOR_TLS), socket.MSG_WAITALL) != _ASKS_FOR_TLS:
            raise OSError("the client does not ask for TLS")
        client.sendall(b"S")
        return tls.wrap_socket(client, server_side=True)

    def _end(self, client: socket.socket) -> None:
        """With the next question unread, so that the network says no more than that the connection was reset."""
        while not self._is_over.is_set() and not select.select([client], [], [], LOOK_SECONDS)[0]:
            pass
        client.sendall(LAST_WORDS)
