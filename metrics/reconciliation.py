"""Equality of the ledger with every sum that is kept beside it."""

from dataclasses import asdict, dataclass
from datetime import date, datetime
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


@dataclass(frozen=True)
class Proof:
    """What the last look at all sums came to."""

    proven_at: datetime
    drifted_days: int
    drifted_runs: int

    @property
    def is_equal(self) -> bool:
        return not self.drifted_days and not self.drifted_runs


def reconcile_usage(*, is_dry_run: bool) -> Reconciliation:
    """Compare, which nobody waits for, and unless it is a dry run set what differs to the ledger's sums."""
    found = Reconciliation(_days("usage_daily_drift"), _runs("run_cost_drift"), is_mended=False)
    if is_dry_run or found.is_equal:
        return found
    # Each looks again: what was found may have been mended meanwhile. In transactions of their own: no run and no
    # escrow is held while the days are looked through.
    runs = _runs("run_cost_repair") if found.runs else ()
    days = _days("usage_daily_repair") if found.days else ()
    return Reconciliation(days, runs, is_mended=bool(days or runs))


def prove_usage() -> Reconciliation:
    """Compare, change no sum, and note what came of it for the page of operations."""
    found = reconcile_usage(is_dry_run=True)
    note_proof(found)
    return found


def note_proof(found: Reconciliation) -> None:
    """What was mended does not differ any more."""
    drifted = (0, 0) if found.is_mended else (len(found.days), len(found.runs))
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            "INSERT INTO ledger_proof (drifted_days, drifted_runs) VALUES (%s, %s) ON CONFLICT (is_last) DO UPDATE"
            " SET proven_at = now(), drifted_days = excluded.drifted_days, drifted_runs = excluded.drifted_runs",
            drifted,
        )


def last_proof() -> Proof | None:
    with platform(), connection.cursor() as cursor:
        cursor.execute("SELECT proven_at, drifted_days, drifted_runs FROM ledger_proof")
        row = cursor.fetchone()
    return Proof(*row) if row else None


def _days(function: str) -> tuple[DayDrift, ...]:
    return tuple(DayDrift(*row) for row in _rows(function))


def _runs(function: str) -> tuple[RunDrift, ...]:
    return tuple(RunDrift(*row) for row in _rows(function))


def _rows(function: str) -> list[Any]:
    with platform(), connection.cursor() as cursor:
        # No month leaves while it is looked at: its rows would be gone, and its sums those from before.
        cursor.execute("LOCK TABLE token_usages IN ACCESS SHARE MODE")
        cursor.execute(f"SELECT * FROM {function}()")  # noqa: S608 - one of four names of ours
        return list(cursor.fetchall())


def _texts(values: dict[str, Any]) -> dict[str, Any]:
    return {name: value if isinstance(value, int) else str(value) for name, value in values.items()}
