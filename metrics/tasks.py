"""Periodic work of metrics."""

from datetime import UTC, datetime

import structlog
from celery import shared_task

from metrics.alerts import claim_alerts, raise_alerts, tell_alert
from metrics.experiments import operations as experiments
from metrics.operations import post_unposted, sweep_escrows
from metrics.quality.operations import take_late_signals
from metrics.reconciliation import prove_usage
from metrics.rollups import fold_closed_days

log = structlog.get_logger(__name__)
ALERTS_AT_ONCE = 20


@shared_task
def look_at_experiments() -> list[int]:
    """Read the experiments of which something happened, and follow their rules."""
    return experiments.look_at_experiments()


@shared_task
def take_quality_signals() -> int:
    """Merges, checks and reviews that came after a run's end change its score once."""
    return take_late_signals()


@shared_task
def take_all_quality_signals() -> int:
    """The same for pull requests of any age: what was missed while this host was down."""
    return take_late_signals(since=datetime(2000, 1, 1, tzinfo=UTC))


@shared_task
def fold_rollups() -> int:
    """Fold the closed days of the sums that are kept in slots."""
    folded = fold_closed_days()
    log.info("rollups_folded", rows=folded)
    return folded


@shared_task
def prove_ledger() -> int:
    """Prove that every sum equals the ledger; gives how many differ. A person looks before they are mended."""
    found = prove_usage()
    if not found.is_equal:
        log.error("ledger_sums_differ", days=len(found.days), runs=len(found.runs))
    return len(found.days) + len(found.runs)


@shared_task
def tell_budget_alerts() -> int:
    """Raise what is new, then tell what is due; gives how many were told. Any number may run at once."""
    raised = raise_alerts()
    if raised:
        log.info("budget_alerts_raised", count=raised)
    told = 0
    while claimed := claim_alerts(ALERTS_AT_ONCE):
        told += sum(tell_alert(alert_id) for alert_id in claimed)
    return told


@shared_task
def return_escrows() -> int:
    """Close escrows of runs that ended without, post what is unposted: the gateway does too, but may be what died."""
    swept = sweep_escrows()
    post_unposted()
    if swept:
        log.warning("escrows_returned", count=swept)
    return swept
