"""Which tenant a request belongs to, and the one transaction around its whole response."""

import re
from collections.abc import Callable

from django.db import connection, transaction
from django.http import Http404, HttpRequest, HttpResponseBase

from accounts.models import Membership, User
from paid.lib.tenancy import platform, signed_in, tenant

ACCOUNT_PATH = re.compile(r"^/a/(?P<slug>[a-z0-9-]{1,63})/")
ADMIN_PATH = "/admin/"

Handler = Callable[[HttpRequest], HttpResponseBase]


class TenancyMiddleware:
    """`/a/<slug>/…` runs as that tenant for a member and is 404 for anyone else; `/admin/` runs as the platform
    for the host's staff; everything else sees the signed-in user's own memberships.

    `ATOMIC_REQUESTS` would close the transaction before a `TemplateResponse` renders, and the page would be empty:
    this transaction also covers rendering, and is rolled back when the answer is an error of ours (500 and above).
    """

    def __init__(self, get_response: Handler) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        user = request.user if isinstance(request.user, User) else None
        request.account = None  # type: ignore[attr-defined]
        request.membership = None  # type: ignore[attr-defined]
        match = ACCOUNT_PATH.match(request.path_info)
        if request.path_info.startswith(ADMIN_PATH) and user is not None and user.is_staff:
            with platform():
                return self._respond(request)
        if match and user is not None:
            return self._as_member(request, user, match["slug"])
        if user is not None:
            with signed_in(user.pk):
                return self._respond(request)
        return self.get_response(request)

    def _as_member(self, request: HttpRequest, user: User, slug: str) -> HttpResponseBase:
        with signed_in(user.pk):
            membership = Membership.objects.select_related("account").filter(user=user, account__slug=slug).first()
        if membership is None:
            request.hidden_account = True  # type: ignore[attr-defined]
            with signed_in(user.pk):
                return self._respond(request)
        request.account = membership.account  # type: ignore[attr-defined]
        request.membership = membership  # type: ignore[attr-defined]
        with tenant(membership.account_id, user.pk):
            return self._respond(request)

    def _respond(self, request: HttpRequest) -> HttpResponseBase:
        response = self.get_response(request)
        if response.status_code >= 500:
            transaction.set_rollback(True, using=connection.alias)
        return response

    def process_view(self, request: HttpRequest, view: object, args: object, kwargs: object) -> None:
        """A tenant's page that the visitor is no member of does not exist."""
        if getattr(request, "hidden_account", False):
            raise Http404
