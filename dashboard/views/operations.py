"""The page of operations, for the host's staff; and `/metrics`, for Prometheus with a token."""

from asgiref.sync import async_to_sync
from django.conf import settings
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import render
from django.utils.crypto import constant_time_compare
from prometheus_client import CONTENT_TYPE_LATEST, REGISTRY, CollectorRegistry, generate_latest

from dashboard.operations import STATEMENTS, OperationsCollector, read_maintenance, read_operations
from dashboard.views.access import staff_page
from dashboard.views.health import latest_parts
from paid.lib.statistics import ORDERINGS, slowest_statements
from paid.lib.tenancy import platform


@staff_page
def operations(request: HttpRequest) -> HttpResponse:
    """All of it, or for htmx the part that is refreshed: statements that somebody reads stay as they are."""
    context: dict[str, object] = {
        "parts": async_to_sync(latest_parts)(),
        "found": read_operations(),
        "maintenance": read_maintenance(),
    }
    if request.headers.get("HX-Target") == "operations":
        return render(request, "dashboard/operations/body.html", context)
    asked = request.GET.get("by", "")
    ordering = asked if asked in ORDERINGS else ORDERINGS[0]
    statements = slowest_statements(ordering, STATEMENTS)
    context |= {"statements": statements, "ordering": ordering, "orderings": ORDERINGS}
    return render(request, "dashboard/operations/page.html", context)


def metrics(request: HttpRequest) -> HttpResponse:
    """404 without the token: who may not read it does not learn that it is there."""
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    if not settings.METRICS_TOKEN or not constant_time_compare(given, settings.METRICS_TOKEN):
        raise Http404
    with platform():
        found = read_operations()
    ours = CollectorRegistry()
    ours.register(OperationsCollector(found))
    answer = HttpResponse(generate_latest(REGISTRY) + generate_latest(ours), content_type=CONTENT_TYPE_LATEST)
    answer["Cache-Control"] = "no-store"
    return answer
