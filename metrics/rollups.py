"""Equality of the rows with the sums that are kept beside them, and the folding of closed days."""

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any

from django.db import connection

from paid.lib.tenancy import platform

# Yesterday's last transactions have long ended.
DAYS_BEFORE_FOLDING = 2


@dataclass(frozen=True)
class Span:
    """A month of one account: what one comparison reads, and what one repair locks."""

    account_id: int
    since: date
    until: date


@dataclass(frozen=True)
class Drift:
    """One sum that differs from the rows. `subject` is the dimension's id, or the histogram's bucket; the sums are in
    the order of the rollup's columns, None where there is no row at all."""

    account_id: int
    rollup: str
    dimension: str
    subject: int
    day: date
    raw: tuple[Decimal, ...] | None
    kept: tuple[Decimal, ...] | None

    def as_dict(self) -> dict[str, Any]:
        """Numbers and dates as text: JSON numbers would round."""
        texts = {"raw": self.raw and [str(n) for n in self.raw], "kept": self.kept and [str(n) for n in self.kept]}
        return asdict(self) | {"day": str(self.day)} | texts


def spans(account_id: int | None = None) -> list[Span]:
    """Every month in which an account has runs, up to this one; of one account, or of all."""
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT account.id, (SELECT min(created_at) FROM agent_runs WHERE account_id = account.id)"
            " FROM accounts account WHERE %(account)s IS NULL OR account.id = %(account)s ORDER BY 1",
            {"account": account_id},
        )
        starts: list[tuple[int, datetime | None]] = cursor.fetchall()
    tomorrow = datetime.now(UTC).date() + timedelta(days=1)
    return [Span(account, *month) for account, first in starts if first for month in _months(first, tomorrow)]


def compare(span: Span, *, is_dry_run: bool) -> tuple[Drift, ...]:
    """The sums of a span that differ; unless it is a dry run they equal the rows when this returns."""
    arguments = [span.account_id, span.since, span.until]
    with platform(), connection.cursor() as cursor:
        # No month leaves while it is looked at: its rows would be gone, and its sums those from before.
        cursor.execute("LOCK TABLE token_usages IN ACCESS SHARE MODE")
        found = _drifts(cursor, span, "rollups_drift", arguments)
        if found and not is_dry_run:
            # Looked at again under its locks: what was written meanwhile is in both.
            found = _drifts(cursor, span, "rollups_repair", arguments)
    return found


def _drifts(cursor: Any, span: Span, function: str, arguments: list[Any]) -> tuple[Drift, ...]:
    cursor.execute(f"SELECT * FROM {function}(%s, %s, %s)", arguments)  # noqa: S608 - one of two names of ours
    return tuple(
        Drift(span.account_id, rollup, dimension, subject, day, raw and tuple(raw), kept and tuple(kept))
        for rollup, dimension, subject, day, raw, kept in cursor.fetchall()
    )


def fold_closed_days() -> int:
    """Fold the 16 slots of days that are over into one; gives how many rows that saved. A day is one transaction."""
    last = datetime.now(UTC).date() - timedelta(days=DAYS_BEFORE_FOLDING)
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "SELECT day FROM usage_daily WHERE slot > 0 AND day <= %(last)s"
            " UNION SELECT day FROM spend_daily WHERE slot > 0 AND day <= %(last)s ORDER BY 1",
            {"last": last},
        )
        days = [row[0] for row in cursor.fetchall()]
    return sum(_fold(day) for day in days)


def _fold(day: date) -> int:
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT fold_daily_slots(%s)", [day])
        row = cursor.fetchone()
    return int(row[0]) if row else 0


def _months(first: datetime, until: date) -> Iterator[tuple[date, date]]:
    start = first.astimezone(UTC).date().replace(day=1)
    while start < until:
        following = (start + timedelta(days=32)).replace(day=1)
        yield start, following
        start = following
