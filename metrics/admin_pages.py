"""The ledger of a run, as a page of the admin."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from agent_runs.models import AgentRun
from metrics.models import TokenUsage

ROWS_PER_PAGE = 200


def run_ledger(request: HttpRequest, run_id: int) -> HttpResponse:
    """The ledger's rows of one run. Their table has a composite key, which Django's admin cannot register."""
    run = get_object_or_404(AgentRun.objects.select_related("project"), pk=run_id)
    rows = TokenUsage.objects.filter(agent_run_id=run.pk, run_created_at=run.created_at).order_by("created_at")
    page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("p"))
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"Ledger of run {run.pk}",
        "run": run,
        "page": page,
    }
    return TemplateResponse(request, "admin/metrics/run_ledger.html", context)
