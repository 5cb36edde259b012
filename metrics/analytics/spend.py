"""What was spent on what, and what the month will come to."""

import math
from dataclasses import dataclass
from datetime import date
from decimal import Decimal

from metrics.analytics.reading import ask

BREAKDOWNS = {"project": "Project", "model": "Model", "prompt": "Prompt version", "person": "Person", "day": "Day"}
LEAST_DAYS = 7
_Z90 = 1.2815515655446004  # the standard normal's 90th percentile


@dataclass(frozen=True)
class Spend:
    """One line of a breakdown. `unpriced_calls` cost something that nobody knows yet. By day, `id` counts from 1970."""

    id: int
    name: str
    cost_usd: Decimal
    calls: int
    unpriced_calls: int


def spend_by(breakdown: str, account_id: int, *, since: date, until: date) -> list[Spend]:
    """The lines of one of BREAKDOWNS, both days (UTC, of the ledger row) included; they all add up to one total."""
    rows = ask("spend", f"by_{breakdown}", account=account_id, since=since, until=until)
    return [Spend(*row) for row in rows]


@dataclass(frozen=True)
class Forecast:
    """What a month will have cost at its end. `low_usd` to `high_usd` holds it four times out of five, if its days are
    like the days before; all three are None while there is less than a week to go by."""

    spent_usd: Decimal
    expected_usd: Decimal | None
    low_usd: Decimal | None
    high_usd: Decimal | None
    days_of_history: int


def forecast(account_id: int, *, today: date) -> Forecast:
    """Spent so far + what the remaining days will cost if they are like the last ones.

    History: the complete days before today, at most 28 (four of each weekday) and from the account's first call on;
    days without a call are zero. Expected: their mean m for each of the n days that remain; today is one of them, and
    counts with what it has spent when that is more. The interval takes days as independent draws from one
    distribution: for a sum of n more of them it is n·m ± t·s·√(n + n²/k), with s their standard deviation over k days
    and t the 90th percentile of Student's distribution with k-1 degrees of freedom (Cornish and Fisher's expansion,
    within 0.001 from 6 degrees on). It is never below what is spent. Weekly rhythm is not modelled: near a month's end
    a remaining weekend makes it too high.
    """
    [(spent, spent_today, days, remaining, mean, deviation)] = ask("spend", "forecast", account=account_id, today=today)
    if days < LEAST_DAYS:
        return Forecast(spent, None, None, None, days)
    expected = spent + max(mean - spent_today, Decimal(0)) + mean * (remaining - 1)
    spread = Decimal(_t90(days - 1) * math.sqrt(remaining + remaining**2 / days)) * deviation
    cent = Decimal("0.01")
    return Forecast(
        spent_usd=spent,
        expected_usd=expected.quantize(cent),
        low_usd=max(expected - spread, spent).quantize(cent),
        high_usd=(expected + spread).quantize(cent),
        days_of_history=days,
    )


def _t90(degrees: int) -> float:
    """The 90th percentile of Student's t (Abramowitz and Stegun 26.7.5)."""
    z = _Z90
    first = (z**3 + z) / 4
    second = (5 * z**5 + 16 * z**3 + 3 * z) / 96
    third = (3 * z**7 + 19 * z**5 + 17 * z**3 - 15 * z) / 384
    return z + first / degrees + second / degrees**2 + third / degrees**3
