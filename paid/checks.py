"""System checks for what an operator can get wrong; `manage.py check` and every start name them with a hint."""

import base64
import binascii
from collections.abc import Iterator, Sequence
from typing import Any, get_args
from urllib.parse import parse_qs, unquote, urlsplit

from django.apps import AppConfig
from django.conf import settings
from django.core.checks import CheckMessage, Error, Warning, register

from paid.lib.addresses import HostsSetting, host_and_port

DEVELOPMENT_KEY_PREFIX = "development-only"
# sockaddr_un holds 108 bytes with the closing zero byte.
LONGEST_SOCKET_PATH = 107
# No host is this machine's own socket.
LOCAL_HOSTS = ("", "127.0.0.1", "::1", "localhost")


@register
def check_secrets(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    # An empty one never gets here: Django refuses to start without any.
    if settings.PRODUCTION and settings.SECRET_KEY.startswith(DEVELOPMENT_KEY_PREFIX):
        found.append(
            Error(
                "SECRET_KEY is the development key, which everybody knows, in production.",
                hint="Set SECRET_KEY to a random string of at least 50 characters.",
                id="paid.E001",
            )
        )
    if not settings.ENCRYPTION_KEYS:
        found.append(
            Error(
                "ENCRYPTION_KEYS is empty: no token can be stored or read.",
                hint="Set ENCRYPTION_KEYS to ID:KEY, where KEY is the base64 of 32 random bytes.",
                id="paid.E002",
            )
        )
    found += [_malformed_key(entry) for entry in settings.ENCRYPTION_KEYS if not _is_key(entry)]
    return found


def _is_key(entry: str) -> bool:
    identifier, _, key = entry.partition(":")
    try:
        return bool(identifier) and len(base64.b64decode(key, validate=True)) == 32
    except binascii.Error:
        return False


def _malformed_key(entry: str) -> Error:
    identifier = entry.partition(":")[0][:20]  # never the key itself
    return Error(
        f"ENCRYPTION_KEYS has an entry that is no key: {identifier!r}.",
        hint="Each entry is ID:KEY, where KEY is the base64 of exactly 32 bytes; separate entries by commas.",
        id="paid.E003",
    )


@register
def check_databases(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    application, owner = urlsplit(settings.DATABASE_URL), urlsplit(settings.DATABASE_OWNER_URL)
    found: list[CheckMessage] = []
    if application.username is not None and application.username == owner.username:
        found.append(
            Error(
                "DATABASE_URL and DATABASE_OWNER_URL log in as the same role: tenants would not be kept apart.",
                hint="DATABASE_URL belongs to paid_app, DATABASE_OWNER_URL to paid_owner; init-db.sql creates both.",
                id="paid.E004",
            )
        )
    if (application.hostname, application.port, application.path) != (owner.hostname, owner.port, owner.path):
        found.append(
            Warning(
                "DATABASE_URL and DATABASE_OWNER_URL name different databases.",
                hint="They are two roles of one database, unless a connection pooler stands before one of them.",
                id="paid.W001",
            )
        )
    return found


@register
def check_database_tls(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    """Without verify-full anybody on the way may pose as the database, and read passwords and prompts."""
    if not settings.PRODUCTION:
        return []
    return [
        Error(
            f"{setting} reaches {host} by sslmode={mode or 'prefer'} in production: anybody on the way may pose as it.",
            hint=f"Add ?sslmode=verify-full&sslrootcert=/path/to/ca.pem to {setting}. On a network that nobody else is"
            f" on, list {host} in DATABASE_PLAINTEXT_HOSTS instead.",
            id="paid.E011",
        )
        for setting, host, mode in _tls_of_databases()
        if mode != "verify-full" and host not in (*LOCAL_HOSTS, *settings.DATABASE_PLAINTEXT_HOSTS)
    ]


def _tls_of_databases() -> Iterator[tuple[str, str, str]]:
    addresses = [
        (name, getattr(settings, name)) for name in ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_BACKUP_URL")
    ]
    addresses += [("DATABASE_REPLICA_URLS", address) for address in settings.DATABASE_REPLICA_URLS]
    for setting, address in addresses:
        parts = urlsplit(address)
        mode = parse_qs(parts.query).get("sslmode", [""])[-1]
        # A socket's directory is percent-encoded in the host's place.
        host = unquote(parts.hostname or "")
        yield setting, "" if host.startswith("/") else host, mode


@register
def check_gateway_socket(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    length = len(str(settings.GATEWAY_SOCKET).encode())
    if length <= LONGEST_SOCKET_PATH:
        return []
    return [
        Error(
            f"The path of the gateway's socket has {length} bytes; the system allows {LONGEST_SOCKET_PATH}.",
            hint="Set GATEWAY_SOCKET to a shorter path, for example under /run.",
            id="paid.E005",
        )
    ]


@register
def check_github(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    found: list[CheckMessage] = []
    for name in ("GITHUB_API_URL", "GITHUB_URL"):
        address = urlsplit(getattr(settings, name))
        if address.scheme != "https" and address.hostname not in LOCAL_HOSTS[1:]:
            found.append(
                Error(
                    f"{name} is no https address: tokens would travel readable by anybody on the way.",
                    hint=f"Set {name} to an address that begins with https://",
                    id="paid.E010",
                )
            )
    return found


@register
def check_allowed_hosts(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    return [
        Error(
            f"{name} has an entry that is no host: {entry!r}.",
            hint="Each entry is a host, or host:port, without http:// and without a path; separate entries by commas.",
            id="paid.E012",
        )
        for name in get_args(HostsSetting)
        for entry in getattr(settings, name)
        if host_and_port(entry) is None
    ]


@register
def check_address(app_configs: Sequence[AppConfig] | None, **_kwargs: Any) -> list[CheckMessage]:
    host = urlsplit(settings.PUBLIC_URL).hostname
    if host is None:
        return [
            Error(
                f"PUBLIC_URL is no address: {settings.PUBLIC_URL!r}.",
                hint="Set it to what people type, for example https://paid.example.com",
                id="paid.E006",
            )
        ]
    allowed = [name.strip("[]").lstrip(".") for name in settings.ALLOWED_HOSTS]
    if "*" in allowed or any(host == name or host.endswith("." + name) for name in allowed):
        return []
    return [
        Error(
            f"ALLOWED_HOSTS does not have the host of PUBLIC_URL ({host}): every page would answer 400.",
            hint=f"Add {host} to ALLOWED_HOSTS.",
            id="paid.E007",
        )
    ]
