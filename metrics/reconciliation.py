"""Equality of the ledger with every sum that is kept beside it."""

from dataclasses import asdict, dataclass
from datetime import date
from decimal import Decimal
from typing import Any

from django.db import connection

from paid.lib.tenancy import platform


@dataclass(frozen=True)
class DayDrift:
    account_id: int
    project_id: int
    language_model_id: int
    day: date
    ledger_calls: int
    daily_calls: int
    ledger_usd: Decimal
    daily_usd: Decimal


@dataclass(frozen=True)
class RunDrift:
    run_id: int
    ledger_usd: Decimal
    run_usd: Decimal


@dataclass(frozen=True)
class Reconciliation:
    """What differed. `is_mended`: days and runs equal the ledger now."""

    days: tuple[DayDrift, ...]
    runs: tuple[RunDrift, ...]
    is_mended: bool

    @property
    def is_equal(self) -> bool:
        return not self.days and not self.runs

    def as_dict(self) -> dict[str, Any]:
        """Money and dates as text: JSON numbers would round."""
        return {
            "is_equal": self.is_equal,
            "is_mended": self.is_mended,
            "days": [_texts(asdict(day)) for day in self.days],
            "runs": [_texts(asdict(run)) for run in self.runs],
        }


def reconcile_usage(*, is_dry_run: bool) -> Reconciliation:
    """Compare, and unless it is a dry run set what differs to the ledger's sums, in one transaction."""
    days_function, runs_function = (
        ("usage_daily_drift", "run_cost_drift") if is_dry_run else ("usage_daily_repair", "run_cost_repair")
    )
    with platform(), connection.cursor() as cursor:
        # Runs first: a run's row is locked before its day's everywhere, or the two would wait for each other.
        cursor.execute(f"SELECT * FROM {runs_function}()")  # noqa: S608 - one of the names above
        runs = tuple(RunDrift(*row) for row in cursor.fetchall())
        cursor.execute(f"SELECT * FROM {days_function}()")  # noqa: S608 - one of the names above
        days = tuple(DayDrift(*row) for row in cursor.fetchall())
    return Reconciliation(days, runs, is_mended=bool(days or runs) and not is_dry_run)


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, int) else str(value) for name, value in values.items()}
