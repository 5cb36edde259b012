"""What was spent. Costs are read from the ledger or its daily sums; both agree to the last digit.

Every read stands in the caller's tenancy context: a tenant sees its own rows only.
"""

from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal

from django.db.models import Count, Q, Sum

from metrics.models import TokenUsage, UsageDaily

NOTHING = Decimal(0)


@dataclass(frozen=True)
class RunCost:
    """The sum of a run's ledger rows. `unpriced_calls` cost something that nobody knows yet."""

    cost_usd: Decimal
    calls: int
    unpriced_calls: int
    estimated_calls: int
    input_tokens: int
    output_tokens: int
    cache_read_tokens: int
    cache_write_tokens: int


@dataclass(frozen=True)
class DaySpend:
    day: date
    cost_usd: Decimal
    calls: int
    unpriced_calls: int


def cost_of_run(run_id: int) -> RunCost:
    sums = TokenUsage.objects.filter(agent_run_id=run_id).aggregate(
        cost_usd=Sum("cost_usd", default=NOTHING),
        calls=Count("request_id", filter=Q(kind="call")),
        unpriced_calls=Count("request_id", filter=Q(kind="call", is_priced=False)),
        estimated_calls=Count("request_id", filter=Q(kind="call", is_estimated=True)),
        input_tokens=Sum("input_tokens", default=0),
        output_tokens=Sum("output_tokens", default=0),
        cache_read_tokens=Sum("cache_read_tokens", default=0),
        cache_write_tokens=Sum("cache_write_tokens", default=0),
    )
    return RunCost(**sums)


def spend_today(account_id: int) -> Decimal:
    """USD since midnight UTC."""
    today = UsageDaily.objects.filter(account_id=account_id, day=_today())
    return Decimal(today.aggregate(cost_usd=Sum("cost_usd", default=NOTHING))["cost_usd"])


def spend_by_day(account_id: int, days: int) -> list[DaySpend]:
    """One entry for each of the last `days` UTC days, today last; days without a call are zero."""
    first = _today() - timedelta(days=days - 1)
    rows = (
        UsageDaily.objects.filter(account_id=account_id, day__gte=first)
        .values("day")
        .annotate(total_usd=Sum("cost_usd"), total_calls=Sum("calls"), total_unpriced=Sum("unpriced_calls"))
    )
    found = {
        row["day"]: DaySpend(row["day"], row["total_usd"], row["total_calls"], row["total_unpriced"]) for row in rows
    }
    wanted = (first + timedelta(days=offset) for offset in range(days))
    return [found.get(day) or DaySpend(day, NOTHING, 0, 0) for day in wanted]


def _today() -> date:
    return datetime.now(UTC).date()
