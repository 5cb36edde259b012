"""Periodic work on logs."""

from celery import shared_task

from agent_runs import log_search

# About half a minute of a busy indexer: the next beat goes on, and one task never holds a worker for long.
STEPS = 20


@shared_task(ignore_result=True)
def index_logs() -> int:
    """Make what was written since the last time searchable by index; returns how many spans that were."""
    return sum(log_search.index_backlog(max_steps=STEPS))
