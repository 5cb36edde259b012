"""The first page: what runs, what it cost, was it worth it."""

from django.http import HttpResponse
from django.shortcuts import render

from accounts.models import Role
from agent_runs.models import AgentRun
from agent_runs.querysets import live_runs, newest, recent_failures
from dashboard.views.access import AccountRequest, account_page, may, may_work
from dashboard.views.budgets import alerts_of_today
from metrics.overview import read_overview

RECENT_RUNS = 8
LIVE_RUNS = 50


@account_page()
def overview(request: AccountRequest) -> HttpResponse:
    account_id = request.account.pk
    context = {
        "figures": read_overview(account_id),
        "alerts": alerts_of_today(account_id),
        "live": newest(live_runs(account_id), LIVE_RUNS),
        "recent": newest(AgentRun.objects.filter(account_id=account_id), RECENT_RUNS),
        "failures": recent_failures(account_id, days=30, limit=5),
        "may_start": may_work(request.membership),
        "may_connect": may(request, Role.ADMIN),
    }
    if not context["recent"]:
        return render(request, "dashboard/overview/first_run.html", context)
    template = "dashboard/overview/figures.html" if request.htmx else "dashboard/overview/page.html"
    return render(request, template, context)
