"""The log of a run, as a page of the admin."""

from typing import Any

from django.contrib import admin
from django.core.paginator import Paginator
from django.http import HttpRequest, HttpResponse
from django.shortcuts import get_object_or_404
from django.template.response import TemplateResponse

from agent_runs.models import AgentRun, AgentRunLog

ROWS_PER_PAGE = 500


def run_log(request: HttpRequest, run_id: int) -> HttpResponse:
    """The log of one run. Its table has a composite key, which Django's admin cannot register."""
    run = get_object_or_404(AgentRun.objects.select_related("project"), pk=run_id)
    rows = AgentRunLog.objects.filter(run_created_at=run.created_at, agent_run_id=run.pk).order_by("seq")
    page = Paginator(rows, ROWS_PER_PAGE).get_page(request.GET.get("p"))
    context: dict[str, Any] = {
        **admin.site.each_context(request),
        "title": f"Log of run {run.pk}",
        "run": run,
        "page": page,
    }
    return TemplateResponse(request, "admin/agent_runs/run_log.html", context)
