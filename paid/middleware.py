"""Which tenant a request belongs to, the one transaction around its response, and the server that it reads from."""

import re
from collections.abc import Callable

from django.conf import settings
from django.core.signing import BadSignature
from django.db import DatabaseError, InterfaceError, connection, transaction
from django.http import Http404, HttpRequest, HttpResponseBase

from accounts.models import Membership, User
from paid.lib import replicas
from paid.lib.tenancy import give_back_connections, platform, signed_in, tenant

ACCOUNT_PATH = re.compile(r"^/a/(?P<slug>[a-z0-9-]{1,63})/")
PLATFORM_PATHS = ("/admin/", "/operations/")
READS = ("GET", "HEAD")
# Where the primary's log stood after the reader's last write. Older than this, REPLICA_MAX_LAG_SECONDS speaks for it.
WROTE_COOKIE = "paid_wrote"
WROTE_SECONDS = 3600

Handler = Callable[[HttpRequest], HttpResponseBase]


class TenancyMiddleware:
    """`/a/<slug>/…` runs as that tenant for a member and is 404 for anyone else; `/admin/` and `/operations/` run as
    the platform for the host's staff; everything else sees the signed-in user's own memberships.

    `ATOMIC_REQUESTS` would close the transaction before a `TemplateResponse` renders, and the page would be empty:
    this transaction also covers rendering, and is rolled back when the answer is an error of ours (500 and above).

    Pages of an account that are only read may come from a replica. Who is a member is always asked on the primary: a
    replica that lags would let somebody in who has just been removed.
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        response = self._dispatch(request)
        if request.method not in READS and isinstance(request.user, User) and replicas.aliases():
            response.set_signed_cookie(
                WROTE_COOKIE,
                replicas.position(),
                max_age=WROTE_SECONDS,
                secure=settings.SESSION_COOKIE_SECURE,
                httponly=True,
                samesite="Lax",
            )
        give_back_connections(response)
        return response

    def _dispatch(self, request: HttpRequest) -> HttpResponseBase:
        match = ACCOUNT_PATH.match(request.path_info)
        user, memberships = self._visitor(request, has_account=match is not None)
        request.account = None  # type: ignore[attr-defined]
        request.membership = None  # type: ignore[attr-defined]
        if request.path_info.startswith(PLATFORM_PATHS) and user is not None and user.is_staff:
            with platform():
                return self._respond(request)
        if match and user is not None:
            return self._as_member(request, user, memberships, match["slug"])
        if user is not None:
            with signed_in(user.pk):
                return self._respond(request)
        return self.get_response(request)

    def _visitor(self, request: HttpRequest, *, has_account: bool) -> tuple[User | None, list[Membership]]:
        """Who asks, and for a page of an account all that they are members of, because every page offers the others.

        Session, user and memberships in one transaction: each in its own took as long as the rest of a small page.
        """
        if settings.SESSION_COOKIE_NAME not in request.COOKIES:
            return (request.user if isinstance(request.user, User) else None), []
        with platform():
            if not isinstance(request.user, User):
                return None, []
            if not has_account:
                return request.user, []
            found = Membership.objects.select_related("account").filter(user=request.user).order_by("account__name")
            return request.user, list(found)

    def _as_member(
        self, request: HttpRequest, user: User, memberships: list[Membership], slug: str
    ) -> HttpResponseBase:
        membership = next((one for one in memberships if one.account.slug == slug), None)
        if membership is None:
            request.hidden_account = True  # type: ignore[attr-defined]
            with signed_in(user.pk):
                return self._respond(request)
        request.account = membership.account  # type: ignore[attr-defined]
        request.membership = membership  # type: ignore[attr-defined]
        request.accounts = [one.account for one in memberships]  # type: ignore[attr-defined]
        response = self._read_from_replica(request, membership) if request.method in READS else None
        if response is not None:
            return response
        replicas.pages.labels("primary").inc()
        with tenant(membership.account_id, user.pk):
            return self._respond(request)

    def _read_from_replica(self, request: HttpRequest, membership: Membership) -> HttpResponseBase | None:
        """None: no replica may answer this page, or it failed in the middle; the primary does it over."""
        try:
            last_write = request.get_signed_cookie(WROTE_COOKIE, replicas.BEGINNING, max_age=WROTE_SECONDS)
        except BadSignature:
            last_write = replicas.BEGINNING
        alias = replicas.choose(last_write or replicas.BEGINNING)
        if alias is None:
            return None
        try:
            with replicas.reading_from(alias), tenant(membership.account_id, membership.user_id):
                response = self._respond(request)
        except (DatabaseError, InterfaceError):
            replicas.shun(alias)
            return None
        if response.status_code >= 500:
            return None
        replicas.pages.labels(alias).inc()
        return response

    def _respond(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code >= 500:
            transaction.set_rollback(True, using=connection.alias)
        return response

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> None:
        """A tenant's page that the visitor is no member of does not exist."""
        if getattr(request, "hidden_account", False):
            raise Http404
