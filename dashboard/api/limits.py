"""How often a token may ask, and how often an address may come with tokens that are refused."""

from functools import cache
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address
from threading import Lock

from django.conf import settings
from django.http import HttpRequest

from dashboard.api.problems import Kind, Problem
from paid.lib.rate_limit import RateLimit, Standing

TOO_MANY_REQUESTS = Kind(HTTPStatus.TOO_MANY_REQUESTS, "too_many_requests")
TOO_MANY_REFUSED = Kind(HTTPStatus.TOO_MANY_REQUESTS, "too_many_refused_tokens")
# The type that the draft of the RateLimit fields registers for it.
QUOTA_EXCEEDED = "https://iana.org/assignments/http-problem-types#quota-exceeded"
MOST_KNOWN = 10_000


class Gate:
    """Stands before the look-up of a token. A quota of 0 is no limit."""

    def __init__(self, requests_per_minute: int, refusals_per_minute: int) -> None:
        self._requests = RateLimit("token", requests_per_minute) if requests_per_minute else None
        self._refusals = RateLimit("refused-tokens", refusals_per_minute) if refusals_per_minute else None
        self._lock = Lock()
        # Tokens that were let in here before: one program's old token does not lock out others behind its address.
        self._known: set[bytes] = set()

    def enter(self, request: HttpRequest, digest: bytes) -> dict[str, str]:
        """The fields that tell the program how it stands. Raises TOO_MANY_REFUSED, TOO_MANY_REQUESTS."""
        if self._refusals is not None and digest not in self._known:
            address = _network_of(request)
            if self._refusals.is_exceeded(address):
                detail = "Too many refused tokens came from this address. Wait, and send one that is in force."
                raise _too_many(TOO_MANY_REFUSED, detail, self._refusals, self._refusals.standing(address))
        if self._requests is None:
            return {}
        standing = self._requests.take(digest.hex())
        if standing.is_exceeded:
            detail = f"This token may ask {self._requests.quota} times a minute. Wait {standing.reset_seconds} seconds."
            raise _too_many(TOO_MANY_REQUESTS, detail, self._requests, standing)
        return _fields(self._requests, standing)

    def was_accepted(self, digest: bytes) -> None:
        if digest in self._known:
            return
        with self._lock:
            if len(self._known) >= MOST_KNOWN:
                self._known.clear()
            self._known.add(digest)

    def was_refused(self, request: HttpRequest, digest: bytes) -> None:
        with self._lock:
            self._known.discard(digest)
        if self._refusals is not None:
            self._refusals.take(_network_of(request))


def gate() -> Gate:
    return _gate(settings.API_REQUESTS_PER_MINUTE, settings.API_REFUSALS_PER_MINUTE)


@cache
def _gate(requests_per_minute: int, refusals_per_minute: int) -> Gate:
    return Gate(requests_per_minute, refusals_per_minute)


def _network_of(request: HttpRequest) -> str:
    """The client's address; of IPv6 the /64, all of which one client may have."""
    text = str(request.META.get("REMOTE_ADDR", ""))
    try:
        address = ip_address(text)
    except ValueError:  # a server on a Unix socket tells none
        return "unknown"
    if isinstance(address, IPv6Address):
        return str(address.ipv4_mapped or IPv6Address(int(address) >> 64 << 64))
    return text


def _fields(limit: RateLimit, standing: Standing) -> dict[str, str]:
    """As draft-ietf-httpapi-ratelimit-headers has them: q is the quota, w its seconds, r what remains, t until when."""
    return {
        "RateLimit-Policy": f'"{limit.name}";q={limit.quota};w={limit.window_seconds}',
        "RateLimit": f'"{limit.name}";r={standing.remaining};t={standing.reset_seconds}',
    }


def _too_many(kind: Kind, detail: str, limit: RateLimit, standing: Standing) -> Problem:
    headers = {"Retry-After": str(standing.reset_seconds)} | _fields(limit, standing)
    return Problem(kind, detail, headers, type_uri=QUOTA_EXCEEDED, violated_policies=[limit.name])
