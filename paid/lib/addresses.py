"""Which addresses a tenant may make Paid call: public ones by https, and what whoever runs this installation allows."""

import re
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address, ip_network
from typing import Literal

import httpx
from django.conf import settings

# Each purpose has a list of its own: a model server is no receiver of whatever a tenant makes an alert say.
HostsSetting = Literal["PROVIDER_HOSTS", "ALERT_WEBHOOK_HOSTS"]

PORTS = {"http": 80, "https": 443}
# As the resolver does: it knows no empty label and none above 63 characters.
_LABEL = re.compile(r"[a-z0-9_](?:[a-z0-9_-]{0,61}[a-z0-9_])?")
_INNER_NAME = re.compile(r"(?:^|\.)(?:localhost|local|internal|intranet|lan|home\.arpa)$")
# Out of it addresses are given to the public; NAT64, site-local and IPv4 in other clothes lie outside.
_PUBLIC_IPV6 = IPv6Network("2000::/3")
# What counts as public and leads to the cloud that a host stands in (its metadata, its agent), to relays, or nowhere.
_NOT_PUBLIC = tuple(map(ip_network, ("168.63.129.16/32", "192.0.0.0/24", "192.88.99.0/24", "3fff::/20")))
# What a resolver makes of IPv4 where a network has IPv6 alone: it leads where the last four bytes say.
_NAT64 = IPv6Network("64:ff9b::/96")


class AddressRefused(Exception):
    """This address is not one that Paid may call: write https:// and a public host name."""

    def __init__(self, setting: HostsSetting) -> None:
        self.setting = setting
        super().__init__(setting)

    def __str__(self) -> str:
        return f"{self.__doc__} Whoever runs this installation can allow others by {self.setting}."


class HostRefused(AddressRefused):
    """No such host can be called: check how its name is spelled."""

    def __str__(self) -> str:
        return self.__doc__ or ""


def refuse_inner_address(url: str, *, unless_in: HostsSetting) -> None:
    """Raise AddressRefused for an address that would make Paid call this host or its network for a tenant.

    It is read by the client that will call it, so that what is judged is what is called: encoding makes a dot of the
    full stops of other scripts (U+3002, U+FF0E, U+FF61). What a public name leads to is judged when it is connected to,
    by `paid.lib.tenant_http`. Redirects are followed by no caller.
    """
    try:
        called = httpx.URL(url)
        host = called.raw_host.decode("ascii")
    except httpx.InvalidURL:
        raise HostRefused(unless_in) from None
    port = PORTS.get(called.scheme, 0) if called.port is None else called.port
    if called.scheme not in PORTS or called.userinfo or not 0 < port <= 65535 or set(url) & set("?#\\"):
        raise AddressRefused(unless_in)
    # An entry without a port allows the usual one: other services of that host are not meant.
    allowed = (host_and_port(entry) for entry in getattr(settings, unless_in))
    if any(entry and entry[0] == host and (entry[1] or PORTS[called.scheme]) == port for entry in allowed):
        return
    if called.scheme != "https" or not _is_public_host(host, unless_in):
        raise AddressRefused(unless_in)


def host_and_port(entry: str) -> tuple[str, int | None] | None:
    """An entry of such a setting as addresses are read; None when it is none, and allows nothing (paid.E012)."""
    is_bare_ipv6 = entry.count(":") > 1 and "]" not in entry
    try:
        read = httpx.URL(f"//[{entry}]" if is_bare_ipv6 else f"//{entry}")
    except httpx.InvalidURL:
        return None
    if not read.raw_host or read.userinfo or "/" in entry or set(entry) & set("?#\\"):
        return None
    return read.raw_host.decode("ascii"), read.port


def _is_public_host(host: str, setting: HostsSetting) -> bool:
    try:
        address = ip_address(host)
    except ValueError:
        return _is_public_name(host.removesuffix("."), setting)
    return _is_public(address)


def is_public_address(text: str) -> bool:
    """Whether an address that the resolver gave is one of the internet: no host here, and none of the networks here."""
    address = ip_address(text)
    return _is_public(IPv4Address(int(address) & 0xFFFFFFFF) if address in _NAT64 else address)


def _is_public(address: IPv4Address | IPv6Address) -> bool:
    if isinstance(address, IPv6Address) and (address.scope_id or address.sixtofour or address not in _PUBLIC_IPV6):
        return False
    if any(address in network for network in _NOT_PUBLIC):
        return False
    return address.is_global and not address.is_multicast


def _is_public_name(name: str, setting: HostsSetting) -> bool:
    labels = name.split(".")
    if len(labels) == 1:
        return False  # a name of the local network
    if len(name) > 253 or not all(_LABEL.fullmatch(label) for label in labels):
        raise HostRefused(setting)
    # A number there would be read as an IPv4 address, also written as 0xf.
    return "a" <= labels[-1][0] <= "z" and not _INNER_NAME.search(name)
