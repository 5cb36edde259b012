"""Rows that are over, of tables that are not partitioned. `paid.lib.partitions` drops the others whole.

What a page, the ledger or a repeated message may still ask for is kept longer than anybody asks.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from django.contrib.sessions.models import Session
from django.db.models import QuerySet
from django.db.models.functions import Now

from paid.lib.tenancy import platform
from projects.models import ClaimState, WebhookDelivery
from workflows.models import OutboxCommand, RunRequest, WorkflowState

KEPT = timedelta(days=30)
# Short transactions: nobody waits for a lock of ours, and what was done stays done.
BATCH = 5_000


@dataclass(frozen=True)
class Forgotten:
    table: str
    rows: int


def _delivered_commands() -> QuerySet[OutboxCommand]:
    return OutboxCommand.objects.filter(delivered_at__lt=Now() - KEPT)


def _ended_workflows() -> QuerySet[WorkflowState]:
    return WorkflowState.objects.filter(finished_at__lt=Now() - KEPT)


def _settled_deliveries() -> QuerySet[WebhookDelivery]:
    """GitHub repeats a delivery for three days at most."""
    settled = (ClaimState.DONE, ClaimState.IGNORED, ClaimState.FAILED)
    return WebhookDelivery.objects.filter(created_at__lt=Now() - KEPT, claim_state__in=settled)


def _answered_requests() -> QuerySet[RunRequest]:
    """A program repeats what it asked within minutes."""
    return RunRequest.objects.filter(created_at__lt=Now() - KEPT)


def _expired_sessions() -> QuerySet[Session]:
    return Session.objects.filter(expire_date__lt=Now())


_OVER: tuple[Callable[[], QuerySet[Any]], ...] = (
    _delivered_commands,
    _ended_workflows,
    _settled_deliveries,
    _answered_requests,
    _expired_sessions,
)


def over() -> Iterator[Forgotten]:
    """How many rows of each table would go."""
    for rows in _OVER:
        with platform():
            yield Forgotten(rows().model._meta.db_table, rows().count())


def forget() -> Iterator[Forgotten]:
    """Delete them; yields each table with how many rows went. Harmless to repeat, also by two at once."""
    for rows in _OVER:
        yield Forgotten(rows().model._meta.db_table, sum(_batches(rows)))


def _batches(rows: Callable[[], QuerySet[Any]]) -> Iterator[int]:
    while True:
        with platform():
            model = rows().model
            deleted, _ = model._default_manager.filter(pk__in=rows().values("pk")[:BATCH]).delete()
        yield deleted
        if deleted < BATCH:
            return
