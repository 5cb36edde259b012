"""Periodic work of metrics."""

from datetime import UTC, datetime

import structlog
from celery import shared_task

from metrics.experiments import operations as experiments
from metrics.quality.operations import take_late_signals
from metrics.rollups import fold_closed_days

log = structlog.get_logger(__name__)


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
