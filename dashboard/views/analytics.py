"""Costs and quality: what was spent on what, what the month will come to, and what the runs were worth."""

import csv
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from decimal import Decimal

from django.http import HttpResponse
from django.shortcuts import render

from agent_runs.models import AgentRun
from agent_runs.querysets import listed, named
from dashboard.forms.analytics import SpanForm
from dashboard.templatetags.display import exact
from dashboard.views.access import AccountRequest, account_page
from metrics.analytics.quality import quality_trend, worst_runs
from metrics.analytics.runs import cohorts, percentiles
from metrics.analytics.spend import BREAKDOWNS, Spend, forecast, spend_by
from metrics.models import Dimension, Measure
from metrics.querysets import budgets_of

WORST_SHOWN = 10


@dataclass(frozen=True)
class Table:
    """One breakdown of the spend. `max_usd` is what the longest bar stands for."""

    key: str
    title: str
    lines: list[Spend]

    @property
    def max_usd(self) -> Decimal:
        return max((line.cost_usd for line in self.lines), default=Decimal(0))


@account_page()
def costs(request: AccountRequest) -> HttpResponse:
    form = SpanForm(request.GET)
    since, until = form.span(_today())
    account_id = request.account.pk
    tables = {by: Table(by, title, spend_by(by, account_id, since=since, until=until)) for by, title in _titles()}
    days = tables.pop("day").lines
    context = {
        "form": form,
        "since": since,
        "until": until,
        "days": [(date.fromisoformat(line.name), line) for line in days],
        "tables": list(tables.values()),
        "total_usd": sum((line.cost_usd for line in days), Decimal(0)),
        "calls": sum(line.calls for line in days),
        "unpriced_calls": sum(line.unpriced_calls for line in days),
        "forecast": forecast(account_id, today=_today()),
        "uses": budgets_of(account_id),
    }
    return render(request, "dashboard/analytics/costs.html", context)


@account_page()
def costs_file(request: AccountRequest, by: str) -> HttpResponse:
    """A breakdown as CSV, exact to the last digit."""
    since, until = SpanForm(request.GET).span(_today())
    answer = HttpResponse(content_type="text/csv; charset=utf-8")
    answer["Content-Disposition"] = f'attachment; filename="costs-by-{by}-{since}-{until}.csv"'
    sheet = csv.writer(answer)
    sheet.writerow([by, "cost_usd", "calls", "unpriced_calls"])
    for line in spend_by(by, request.account.pk, since=since, until=until):
        sheet.writerow([_as_text(line.name), exact(line.cost_usd), line.calls, line.unpriced_calls])
    return answer


@account_page()
def quality(request: AccountRequest) -> HttpResponse:
    form = SpanForm(request.GET)
    since, until = form.span(_today())
    account_id = request.account.pk
    trend = quality_trend(account_id, since=since, until=until)
    context = {
        "form": form,
        "trend": trend,
        "scored": sum(day.scored for day in trend),
        "versions": cohorts(Dimension.PROMPT_VERSION, account_id, since=since, until=until),
        "models": cohorts(Dimension.LANGUAGE_MODEL, account_id, since=since, until=until),
        "seconds": percentiles(Measure.SECONDS, account_id, since=since, until=until),
        "usd": percentiles(Measure.USD, account_id, since=since, until=until),
        "worst": _worst(account_id, since, until),
    }
    return render(request, "dashboard/analytics/quality.html", context)


def _worst(account_id: int, since: date, until: date) -> list[tuple[AgentRun, Decimal]]:
    found = worst_runs(since=since, until=until, limit=WORST_SHOWN)
    runs = listed(AgentRun.objects.filter(account_id=account_id)).in_bulk([one.agent_run_id for one in found])
    named(runs.values())
    return [(runs[one.agent_run_id], one.score) for one in found if one.agent_run_id in runs]


def _titles() -> Iterable[tuple[str, str]]:
    return BREAKDOWNS.items()


def _today() -> date:
    return datetime.now(UTC).date()


def _as_text(name: str) -> str:
    """A name that a spreadsheet would take for a formula becomes text."""
    return f"'{name}" if name[:1] in ("=", "+", "-", "@", "\t", "\r") else name
