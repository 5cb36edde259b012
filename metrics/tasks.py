"""Periodic work of metrics."""

from celery import shared_task

from metrics.experiments import operations as experiments


@shared_task
def look_at_experiments() -> list[int]:
    """Read the experiments of which something happened, and follow their rules."""
    return experiments.look_at_experiments()
