"""HTTP to where a tenant says: the name is resolved once, and only what was judged is connected to.

`refuse_inner_address` judges what is written. Where a name leads is known no sooner than a connection is made, and may
be elsewhere a moment later. So both happen here, below TLS: its server name and `Host` stay the name, and the pool
keeps connections apart by name.
"""

import logging
import socket
import ssl
import time
from collections.abc import Iterable, Sequence
from functools import partial
from typing import Any
from weakref import WeakValueDictionary

import anyio
import anyio.to_thread
import httpcore
import httpx
from django.conf import settings

from paid.lib.addresses import PORTS, HostsSetting, host_and_port, is_public_address

logger = logging.getLogger(__name__)

# A name server may keep silent, each look-up waits in a thread, and tenants share a process: this many for one name.
LOOKUPS_OF_A_NAME = 8
# A client that blocks is held up no longer, whatever the other side does: httpx bounds each wait alone.
LONGEST_SECONDS = 60.0


class TenantTransport(httpx.HTTPTransport):
    """For `httpx.Client`. A name that leads inwards is an `httpx.ConnectError`, as one that nobody has.

    Tenants are told no difference, since it would tell them about names of this network; the log tells. A connection
    ends after `seconds`, so make a client for one exchange.
    """

    def __init__(self, *, unless_in: HostsSetting, seconds: float = LONGEST_SECONDS) -> None:
        context = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context)
        # httpx does not hand the backend through; each new connection of the pool is made by it.
        self._pool = httpcore.ConnectionPool(ssl_context=context, network_backend=_Backend(_Rule(unless_in), seconds))


class AsyncTenantTransport(httpx.AsyncHTTPTransport):
    """For `httpx.AsyncClient`, as above. `own` are addresses that the installation itself calls by the same client."""

    def __init__(self, *, unless_in: HostsSetting, own: Iterable[str] = (), limits: httpx.Limits | None = None) -> None:
        context = httpx.create_ssl_context(trust_env=False)
        super().__init__(verify=context)
        bounds = limits or httpx.Limits(max_connections=100, max_keepalive_connections=20)
        self._pool = httpcore.AsyncConnectionPool(
            ssl_context=context,
            max_connections=bounds.max_connections,
            max_keepalive_connections=bounds.max_keepalive_connections,
            keepalive_expiry=bounds.keepalive_expiry,
            network_backend=_AsyncBackend(_Rule(unless_in, own)),
        )


class _Rule:
    def __init__(self, unless_in: HostsSetting, own: Iterable[str] = ()) -> None:
        self._setting = unless_in
        self._own = {_origin(url) for url in own}

    def names(self, host: str, port: int) -> bool:
        """Whether whoever runs this installation named this host: it is called wherever it leads."""
        if (host, port) in self._own:
            return True
        entries = (host_and_port(entry) for entry in getattr(settings, self._setting))
        return any(
            entry and entry[0] == host and (entry[1] == port or (entry[1] is None and port in PORTS.values()))
            for entry in entries
        )

    def judged(self, host: str, found: Sequence[tuple[Any, ...]]) -> list[str]:
        """The addresses in the resolver's order. One that is not public spoils the name."""
        addresses = list(dict.fromkeys(str(entry[4][0]) for entry in found))
        if not addresses or not all(is_public_address(address) for address in addresses):
            logger.warning("%s leads to an address that is not public: see %s", host, self._setting)
            raise httpcore.ConnectError(f"{host} leads to an address that is not public.")
        return addresses


def _origin(url: str) -> tuple[str, int | None]:
    called = httpx.URL(url)
    return called.raw_host.decode("ascii"), called.port or PORTS.get(called.scheme)


class _Shares:
    """Divides the time to connect among the addresses: the first that is silent leaves some to the next."""

    def __init__(self, timeout: float | None) -> None:
        self._deadline = None if timeout is None else time.monotonic() + timeout

    def next_seconds(self, addresses_left: int) -> float | None:
        return None if self._deadline is None else max(self._deadline - time.monotonic(), 0.001) / addresses_left


class _EndingStream(httpcore.NetworkStream):
    """Who answers a byte at a time is in time with each: all of them have until `end`."""

    def __init__(self, stream: httpcore.NetworkStream, end: float) -> None:
        self._stream = stream
        self._end = end

    def _left(self, timeout: float | None, over: type[httpcore.TimeoutException]) -> float:
        left = self._end - time.monotonic()
        if left <= 0:
            raise over("The exchange took too long.")
        return left if timeout is None else min(timeout, left)

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:
        return self._stream.read(max_bytes, self._left(timeout, httpcore.ReadTimeout))

    def write(self, buffer: bytes, timeout: float | None = None) -> None:
        self._stream.write(buffer, self._left(timeout, httpcore.WriteTimeout))

    def close(self) -> None:
        self._stream.close()

    def start_tls(
        self, ssl_context: ssl.SSLContext, server_hostname: str | None = None, timeout: float | None = None
    ) -> httpcore.NetworkStream:
        left = self._left(timeout, httpcore.ConnectTimeout)
        return _EndingStream(self._stream.start_tls(ssl_context, server_hostname, left), self._end)

    def get_extra_info(self, info: str) -> Any:
        return self._stream.get_extra_info(info)


class _Backend(httpcore.NetworkBackend):
    def __init__(self, rule: _Rule, seconds: float) -> None:
        self._rule = rule
        self._seconds = seconds
        self._network = httpcore.SyncBackend()

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.NetworkStream:
        end = time.monotonic() + self._seconds
        return _EndingStream(self._connect(host, port, timeout, local_address, socket_options), end)

    def _connect(
        self,
        host: str,
        port: int,
        timeout: float | None,
        local_address: str | None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None,
    ) -> httpcore.NetworkStream:
        connect = partial(self._network.connect_tcp, local_address=local_address, socket_options=socket_options)
        if self._rule.names(host, port):
            return connect(host, port, timeout)
        shares = _Shares(timeout)
        try:
            found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        *others, last = self._rule.judged(host, found)
        for left, address in zip(range(len(others) + 1, 1, -1), others, strict=True):
            try:
                return connect(address, port, shares.next_seconds(left))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return connect(last, port, shares.next_seconds(1))


class _AsyncBackend(httpcore.AsyncNetworkBackend):
    def __init__(self, rule: _Rule) -> None:
        self._rule = rule
        self._network = httpcore.AnyIOBackend()
        # Kept for as long as somebody waits.
        self._lookups: WeakValueDictionary[str, anyio.CapacityLimiter] = WeakValueDictionary()

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - the signature is httpcore's
        local_address: str | None = None,
        socket_options: Iterable[httpcore.SOCKET_OPTION] | None = None,
    ) -> httpcore.AsyncNetworkStream:
        connect = partial(self._network.connect_tcp, local_address=local_address, socket_options=socket_options)
        if self._rule.names(host, port):
            return await connect(host, port, timeout)
        shares = _Shares(timeout)
        try:
            with anyio.fail_after(timeout):
                # In threads of anyio, of which each name has its own few: uvloop has four for the whole process.
                ask = partial(socket.getaddrinfo, host, port, type=socket.SOCK_STREAM)
                limiter = self._lookups.setdefault(host, anyio.CapacityLimiter(LOOKUPS_OF_A_NAME))
                found = await anyio.to_thread.run_sync(ask, abandon_on_cancel=True, limiter=limiter)
        except TimeoutError as error:
            raise httpcore.ConnectTimeout from error
        except (OSError, UnicodeError) as error:
            raise httpcore.ConnectError(str(error)) from error
        *others, last = self._rule.judged(host, found)
        for left, address in zip(range(len(others) + 1, 1, -1), others, strict=True):
            try:
                return await connect(address, port, shares.next_seconds(left))
            except (httpcore.ConnectError, httpcore.ConnectTimeout):
                continue
        return await connect(last, port, shares.next_seconds(1))

    async def sleep(self, seconds: float) -> None:
        await self._network.sleep(seconds)
