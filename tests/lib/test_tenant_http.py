"""Where a connection goes that a tenant named: the resolver and the sockets are stood in for, nothing of ours."""

import asyncio
import contextlib
import socket
import threading
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import pytest

from paid.lib.tenant_http import AsyncTenantTransport, TenantTransport

PUBLIC, OTHER_PUBLIC = "93.184.215.14", "2606:4700::1111"
HOST = "hooks.example.com"


@dataclass
class Wire:
    """A resolver that says `answers` one after the other, and a route that leads public addresses to `listener`."""

    listener: socket.socket
    answers: list[list[str]] = field(default_factory=list)
    asked: list[str] = field(default_factory=list)
    connected: list[str] = field(default_factory=list)
    received: list[bytes] = field(default_factory=list)
    every_seconds: float = 0

    @property
    def port(self) -> int:
        return int(self.listener.getsockname()[1])

    def url(self, scheme: str = "http", host: str = HOST) -> str:
        return f"{scheme}://{host}:{self.port}/x"

    def serve(self) -> None:
        while True:
            try:
                connection, _ = self.listener.accept()
            except OSError:
                return
            with connection:
                self.received.append(connection.recv(65536))
                self.answer(connection, b"HTTP/1.1 204 No Content\r\nconnection: close\r\n\r\n")

    def answer(self, connection: socket.socket, words: bytes) -> None:
        """At once, or a byte at a time for as long as the other side listens."""
        if not self.every_seconds:
            connection.sendall(words)
            return
        with contextlib.suppress(OSError):
            for byte in words:
                connection.sendall(bytes([byte]))
                threading.Event().wait(self.every_seconds)


@pytest.fixture
def wire(monkeypatch: pytest.MonkeyPatch) -> Iterator[Wire]:
    resolve, connect = socket.getaddrinfo, socket.socket.connect
    with socket.create_server(("127.0.0.1", 0)) as listener:
        wire = Wire(listener)

        def getaddrinfo(host: Any, port: Any, *rest: Any, **options: Any) -> Any:
            name = host.decode() if isinstance(host, bytes) else host
            if name[0].isdigit() or ":" in name:
                return resolve(host, port, *rest, **options)
            wire.asked.append(name)
            addresses = wire.answers.pop(0)
            if not addresses:
                raise socket.gaierror(socket.EAI_NONAME, "Name or service not known")
            return [found for address in addresses for found in resolve(address, port, type=socket.SOCK_STREAM)]

        class Socket(socket.socket):
            """Sends what is for a public address to the listener, over IPv4 only, as some networks do."""

            def connect(self, address: Any) -> None:
                wire.connected.append(address[0])
                if ":" in address[0]:
                    raise OSError(101, "Network is unreachable")
                connect(self, ("127.0.0.1", wire.port))

        monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
        monkeypatch.setattr(socket, "socket", Socket)
        thread = threading.Thread(target=wire.serve, daemon=True)
        thread.start()
        yield wire
        listener.shutdown(socket.SHUT_RDWR)
        thread.join(10)


def call(url: str, **options: Any) -> int:
    with httpx.Client(transport=TenantTransport(unless_in="ALERT_WEBHOOK_HOSTS"), timeout=5, trust_env=False) as http:
        return http.get(url, **options).status_code


def client_async(*own: str) -> httpx.AsyncClient:
    # The loop asks the system without blocking: it is led where the blocking socket is.
    async def sock_connect(connecting: socket.socket, address: Any) -> None:
        connecting.setblocking(True)
        connecting.connect(address)
        connecting.setblocking(False)

    asyncio.get_running_loop().sock_connect = sock_connect  # type: ignore[assignment,method-assign]
    transport = AsyncTenantTransport(unless_in="PROVIDER_HOSTS", own=own)
    return httpx.AsyncClient(transport=transport, timeout=5, trust_env=False)


async def call_async(url: str, *own: str) -> int:
    async with client_async(*own) as http:
        return (await http.get(url)).status_code


INNER = [
    "127.0.0.1",
    "10.0.0.7",
    "169.254.169.254",
    "100.64.0.1",
    "0.0.0.0",  # noqa: S104 - an address that a resolver may give
    "224.0.0.1",
    "168.63.129.16",
    "192.0.0.192",
    "192.88.99.1",
    "::1",
    "fe80::1",
    "fd00:ec2::254",
    "::ffff:127.0.0.1",
    "64:ff9b::7f00:1",
    "64:ff9b:1::1",
    "64:ff9b::a83f:8110",
    "2002:7f00:1::",
    "3fff::1",
]


@pytest.mark.parametrize("address", INNER)
def test_a_public_name_that_leads_inwards_is_not_connected_to(wire: Wire, address: str):
    wire.answers = [[address]]
    with pytest.raises(httpx.ConnectError, match="leads to an address that is not public"):
        call(wire.url())
    assert (wire.asked, wire.connected, wire.received) == ([HOST], [], [])


async def test_nor_is_it_by_a_client_that_does_not_block(wire: Wire):
    wire.answers = [["169.254.169.254"]]
    with pytest.raises(httpx.ConnectError, match="leads to an address that is not public"):
        await call_async(wire.url())
    assert (wire.asked, wire.connected, wire.received) == ([HOST], [], [])


def test_one_inner_address_beside_a_public_one_spoils_the_name(wire: Wire):
    wire.answers = [[PUBLIC, "10.0.0.7"]]
    with pytest.raises(httpx.ConnectError, match="leads to an address that is not public"):
        call(wire.url())
    assert wire.connected == []


def test_what_was_judged_is_what_is_connected_to_and_the_host_stays_the_name(wire: Wire):
    wire.answers = [[PUBLIC], ["127.0.0.1"]]
    assert call(wire.url()) == 204
    assert (wire.asked, wire.connected) == ([HOST], [PUBLIC])
    assert f"host: {HOST}:{wire.port}\r\n".encode() in wire.received[0].lower()


def test_who_answers_byte_by_byte_holds_nobody_up_for_longer_than_an_exchange_may_take(wire: Wire):
    wire.answers, wire.every_seconds = [[PUBLIC]], 0.02
    transport = TenantTransport(unless_in="ALERT_WEBHOOK_HOSTS", seconds=0.5)
    with httpx.Client(transport=transport, timeout=5, trust_env=False) as http, pytest.raises(httpx.ReadTimeout):
        http.get(wire.url())


async def test_a_client_that_does_not_block_asks_the_resolver_once_too(wire: Wire):
    wire.answers = [[PUBLIC], ["127.0.0.1"]]
    assert await call_async(wire.url()) == 204
    assert (wire.asked, wire.connected) == ([HOST], [PUBLIC])


async def test_a_name_server_that_keeps_silent_holds_up_its_own_name_alone(wire: Wire, monkeypatch: pytest.MonkeyPatch):
    resolve, speaks = socket.getaddrinfo, threading.Event()

    def getaddrinfo(host: Any, *rest: Any, **options: Any) -> Any:
        if host == "silent.example.net":
            speaks.wait(20)
            raise socket.gaierror(socket.EAI_AGAIN, "Temporary failure in name resolution")
        return resolve(host, *rest, **options)

    monkeypatch.setattr(socket, "getaddrinfo", getaddrinfo)
    wire.answers = [[PUBLIC]]
    async with client_async() as http:
        waiting = [asyncio.create_task(http.get(wire.url(host="silent.example.net"))) for _ in range(60)]
        try:
            # A task too: its turn comes after those of the others.
            assert (await asyncio.create_task(http.get(wire.url()))).status_code == 204
        finally:
            speaks.set()
            ends = await asyncio.gather(*waiting, return_exceptions=True)
    assert {type(end) for end in ends} == {httpx.ConnectError}


def test_the_next_address_is_tried_when_one_does_not_answer(wire: Wire):
    wire.answers = [[OTHER_PUBLIC, "64:ff9b::5db8:d70e", PUBLIC]]
    assert call(wire.url()) == 204
    assert wire.connected == [OTHER_PUBLIC, "64:ff9b::5db8:d70e", PUBLIC]


def test_the_certificate_is_asked_for_by_name(wire: Wire):
    wire.answers = [[PUBLIC]]
    with pytest.raises(httpx.ConnectError, match="SSL"):
        call(wire.url("https"))
    # The first message of TLS names the server in plain text.
    assert HOST.encode() in wire.received[0]


def test_a_name_that_nobody_has_is_an_address_that_did_not_answer(wire: Wire):
    wire.answers = [[]]
    with pytest.raises(httpx.ConnectError, match="Name or service not known"):
        call(wire.url())
    assert wire.connected == []


def test_a_host_that_the_operator_names_may_lead_inwards_by_that_port(wire: Wire, settings: Any):
    settings.ALERT_WEBHOOK_HOSTS = [f"{HOST}:{wire.port}"]
    wire.answers = [["127.0.0.1"], ["127.0.0.1"]]
    assert call(wire.url()) == 204
    settings.ALERT_WEBHOOK_HOSTS = [f"{HOST}:{wire.port + 1}", HOST]
    with pytest.raises(httpx.ConnectError, match="leads to an address that is not public"):
        call(wire.url())
    assert wire.connected == ["127.0.0.1"]


async def test_so_may_the_address_of_a_provider_that_the_installation_has_itself(wire: Wire):
    wire.answers = [["127.0.0.1"], ["127.0.0.1"]]
    assert await call_async(wire.url(), wire.url()) == 204
    with pytest.raises(httpx.ConnectError, match="leads to an address that is not public"):
        await call_async(wire.url(), wire.url(host="other.example.com"))
    assert wire.connected == ["127.0.0.1"]
