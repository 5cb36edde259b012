"""The admin of the host's staff, put together from every app's."""

from typing import Any

from django.conf import settings
from django.contrib.admin import AdminSite
from django.contrib.auth.views import redirect_to_login
from django.http import HttpRequest, HttpResponse
from django.urls import URLPattern, URLResolver, path

from agent_runs.admin_pages import run_log
from metrics.admin_pages import run_ledger


class PaidAdminSite(AdminSite):
    """Signs in through the one sign-in page, and shows what has no model page of its own."""

    site_header = "Paid administration"
    site_title = "Paid administration"
    index_title = "This installation"
    site_url = "/"

    def get_urls(self) -> list[URLResolver | URLPattern]:
        return [
            path("runs/<int:run_id>/log/", self.admin_view(run_log), name="run_log"),
            path("runs/<int:run_id>/ledger/", self.admin_view(run_ledger), name="run_ledger"),
            *super().get_urls(),
        ]

    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Who is signed in but not of the staff is told so by the sign-in page's own answer: the home page."""
        if request.user.is_authenticated and not self.has_permission(request):
            return redirect_to_login("/", settings.LOGIN_URL)
        return redirect_to_login(request.GET.get("next", "/admin/"), settings.LOGIN_URL)
