"""The first page: what runs, what it cost, was it worth it."""

from django.http import HttpResponse
from django.shortcuts import render

from accounts.models import Role
from agent_runs.models import AgentRun
from agent_runs.querysets import failures_of, live_runs, newest_of_each
from dashboard.views.access import AccountRequest, account_page, may, may_work
from dashboard.views.budgets import alerts_of_today
from metrics.overview import read_overview

RECENT_RUNS = 8
LIVE_RUNS = 50
FAILURES = 5


@account_page()
def overview(request: AccountRequest) -> HttpResponse:
    account_id = request.account.pk
    live, recent, failures = newest_of_each(
        (live_runs(account_id), LIVE_RUNS),
        (AgentRun.objects.filter(account_id=account_id), RECENT_RUNS),
        (failures_of(account_id, days=30), FAILURES),
    )
    context = {
        "figures": read_overview(account_id),
        "alerts": alerts_of_today(account_id),
        "live": live,
        "recent": recent,
        "failures": failures,
        "may_start": may_work(request.membership),
        "may_connect": may(request, Role.ADMIN),
    }
    if not recent:
        return render(request, "dashboard/overview/first_run.html", context)
    template = "dashboard/overview/figures.html" if request.htmx else "dashboard/overview/page.html"
    return render(request, template, context)
