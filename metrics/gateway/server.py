"""Serves the gateway on its Unix socket and, where agents live in containers, on a TCP address."""

import fcntl
import os
import socket
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import httpx
import uvicorn
from django.conf import settings

from metrics.gateway.app import Gateway
from metrics.gateway.ledger import Ledger
from paid.lib.pulse import Pulse
from paid.lib.tenant_http import AsyncTenantTransport

# sun_path holds 108 bytes with its closing zero.
LONGEST_SOCKET_PATH = 107
POOL_SIZE = 8
# A provider thinks long before its first byte; the longest call as a whole is bounded in relay.py.
TIMEOUT = httpx.Timeout(connect=10, read=900, write=60, pool=10)
LIMITS = httpx.Limits(max_connections=512, max_keepalive_connections=64)


class GatewayCannotStart(Exception):
    """The gateway cannot listen where its settings say."""


def build_gateway(gateway_id: str) -> Gateway:
    providers = {"anthropic": settings.ANTHROPIC_API_URL, "scripted": settings.SCRIPTED_MODEL_URL}
    transport = AsyncTenantTransport(unless_in="PROVIDER_HOSTS", own=providers.values(), limits=LIMITS)
    http = httpx.AsyncClient(
        transport=transport,
        timeout=TIMEOUT,
        headers={"user-agent": "paid-gateway"},
        follow_redirects=False,
        trust_env=False,
    )
    return Gateway(
        Ledger(gateway_id, pool_size=POOL_SIZE),
        providers=providers,
        # The scripted model is ours and free: any key opens it, so nobody has to enter one.
        default_keys={"scripted": "scripted"},
        http=http,
    )


def serve(path: Path, bind: str) -> None:
    """Serve until SIGINT or SIGTERM. Raises GatewayCannotStart with what to do."""
    with listening_socket(path) as unix_socket:
        sockets = [unix_socket]
        if bind:
            sockets.append(_tcp_socket(bind))
        gateway = build_gateway(f"{socket.gethostname()}:{path}"[-100:])
        Pulse("gateway", gateway.ledger.pool_counts).start()
        config = uvicorn.Config(
            gateway, log_level="warning", access_log=False, lifespan="on", timeout_graceful_shutdown=10
        )
        uvicorn.Server(config).run(sockets=sockets)


@contextmanager
def listening_socket(path: Path) -> Iterator[socket.socket]:
    """A Unix socket that nobody else serves. The lock beside it, not the file, says whether one lives."""
    if len(os.fsencode(path)) > LONGEST_SOCKET_PATH:
        raise GatewayCannotStart(
            f"The path {path} is longer than {LONGEST_SOCKET_PATH} bytes, the most a Unix socket can have. "
            "Set GATEWAY_SOCKET to a shorter one."
        )
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.with_name(path.name + ".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            raise GatewayCannotStart(f"Another gateway serves {path} already.") from error
        path.unlink(missing_ok=True)
        listener = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        try:
            listener.bind(str(path))
            # Its owner and group; who else could connect would still need a live run's token.
            path.chmod(0o660)
            listener.listen(512)
            listener.setblocking(False)
            yield listener
        finally:
            listener.close()
            path.unlink(missing_ok=True)


def _tcp_socket(bind: str) -> socket.socket:
    host, _, port = bind.rpartition(":")
    try:
        listener = socket.create_server((host.strip("[]"), int(port)), family=_family(host), backlog=512)
    except (OSError, ValueError) as error:
        raise GatewayCannotStart(f"GATEWAY_BIND={bind} cannot be listened on: {error}. Use host:port.") from error
    listener.setblocking(False)
    return listener


def _family(host: str) -> socket.AddressFamily:
    return socket.AF_INET6 if ":" in host else socket.AF_INET
