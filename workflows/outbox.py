"""Delivers what the outbox holds to Temporal. At least once; signal-with-start and run ids make repeats harmless.

A row is claimed by moving `available_at` forward, so that no transaction is open while Temporal is asked, and a
sweep that dies leaves a row that is due again. Rows of one workflow may arrive in another order than they were
written: its signals do not depend on it.
"""

import asyncio
import contextlib
import logging
from collections.abc import Callable
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

import psycopg
from django.db import connection
from django.db.models import F, Min
from django.db.models.functions import Now
from temporalio.client import Client
from temporalio.common import WorkflowIDConflictPolicy, WorkflowIDReusePolicy

from paid.lib.outbox import OUTBOX_CHANNEL
from paid.lib.tenancy import platform
from projects.contracts import INBOX_WORKFLOW
from workflows.connections import released_connections
from workflows.contracts import ISSUE_WORKFLOW, IssueInput
from workflows.evolution_contracts import EVOLUTION_WORKFLOW, EvolutionInput
from workflows.forge_contracts import InboxInput
from workflows.models import OutboxCommand
from workflows.operations.states import record_started

logger = logging.getLogger(__name__)

BATCH = 50
LEASE = timedelta(seconds=30)
FIRST_DELAY_SECONDS = 1.0
LONGEST_DELAY_SECONDS = 300.0
POLL_SECONDS = 5.0
RPC_TIMEOUT = timedelta(seconds=10)
START_INPUTS: dict[str, Callable[[], object]] = {
    ISSUE_WORKFLOW: IssueInput,
    INBOX_WORKFLOW: InboxInput,
    EVOLUTION_WORKFLOW: EvolutionInput,
}


@dataclass(frozen=True)
class Command:
    id: int
    account_id: int
    workflow_type: str
    workflow_id: str
    task_queue: str
    signal: str
    payload: dict[str, Any]
    attempts: int


class OutboxSweep:
    """Runs beside the control worker: any number of them may run at once."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._wake = asyncio.Event()

    async def run(self) -> None:
        """Until cancelled. A database or Temporal that is away delays the sweep and never ends it."""
        listener = asyncio.create_task(self._listen())
        try:
            while True:
                self._wake.clear()
                try:
                    delivered = await self.sweep()
                except psycopg.Error:
                    logger.exception("The outbox could not be read")
                    delivered = 0
                except Exception:  # the sweep of a process that lives on must not die of one odd row
                    logger.exception("The outbox could not be swept")
                    delivered = 0
                if delivered < BATCH:
                    await self._wait()
        finally:
            listener.cancel()
            await asyncio.gather(listener, return_exceptions=True)

    async def sweep(self) -> int:
        """Deliver what is due now; returns how many rows were taken."""
        commands = await asyncio.to_thread(claim_due)
        await asyncio.gather(*(self._deliver(command) for command in commands))
        return len(commands)

    async def _deliver(self, command: Command) -> None:
        try:
            handle = await self._client.start_workflow(
                command.workflow_type,
                START_INPUTS[command.workflow_type](),
                id=command.workflow_id,
                task_queue=command.task_queue,
                start_signal=command.signal,
                start_signal_args=[command.payload],
                id_conflict_policy=WorkflowIDConflictPolicy.USE_EXISTING,
                id_reuse_policy=WorkflowIDReusePolicy.ALLOW_DUPLICATE,
                rpc_timeout=RPC_TIMEOUT,
            )
        except Exception as error:  # whatever it is, the row waits and is tried again
            logger.warning("Outbox row %s was not delivered (attempt %s): %s", command.id, command.attempts, error)
            await asyncio.to_thread(_postpone, command, f"{type(error).__name__}: {error}")
            return
        await asyncio.to_thread(_mark_delivered, command, handle.result_run_id or "")

    async def _wait(self) -> None:
        """Until a commit notifies us, a row becomes due, or the fall-back poll's time is over."""
        timeout = POLL_SECONDS
        try:
            timeout = min(timeout, await asyncio.to_thread(seconds_until_next))
        except Exception:
            logger.exception("The outbox could not be asked when its next row is due")
        # Not by asyncio.wait_for: until Python 3.12 it forgets a cancellation that comes together with the news.
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(max(timeout, 0.01)):
                await self._wake.wait()

    async def _listen(self) -> None:
        """A connection of its own: a pooled one would lose its LISTEN with every return to the pool."""
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(_conninfo(), autocommit=True) as listening:
                    await listening.execute(f"LISTEN {OUTBOX_CHANNEL}")
                    self._wake.set()  # what was notified while nobody listened
                    async for _ in listening.notifies():
                        self._wake.set()
            except psycopg.Error as error:
                logger.warning("Nobody listens to the outbox for %s s: %s", POLL_SECONDS, error)
                await asyncio.sleep(POLL_SECONDS)


def _conninfo() -> str:
    """The address that Django uses now; in tests that is the test database."""
    values = connection.settings_dict
    return psycopg.conninfo.make_conninfo(
        "",
        host=values["HOST"] or None,
        port=values["PORT"] or None,
        user=values["USER"],
        password=values["PASSWORD"],
        dbname=values["NAME"],
        application_name="paid outbox",
        **{key: value for key, value in values["OPTIONS"].items() if key.startswith("ssl")},
    )


def claim_due() -> list[Command]:
    """Take rows that are due, oldest first, for the length of a lease. Served by the partial index `outbox_due`."""
    with released_connections(), platform():
        due = OutboxCommand.objects.filter(delivered_at__isnull=True, available_at__lte=Now())
        rows = list(due.order_by("available_at", "id").select_for_update(skip_locked=True)[:BATCH])
        OutboxCommand.objects.filter(pk__in=[row.pk for row in rows]).update(
            available_at=Now() + LEASE, attempts=F("attempts") + 1
        )
    return [
        Command(
            id=row.pk,
            account_id=row.account_id,
            workflow_type=row.workflow_type,
            workflow_id=row.workflow_id,
            task_queue=row.task_queue,
            signal=row.signal,
            payload=row.payload,
            attempts=row.attempts + 1,
        )
        for row in rows
    ]


def seconds_until_next() -> float:
    """0 when a row is due; POLL_SECONDS when there is none."""
    with released_connections(), platform():
        next_due = OutboxCommand.objects.filter(delivered_at__isnull=True).aggregate(
            seconds=Min(F("available_at")) - Now()
        )["seconds"]
    return POLL_SECONDS if next_due is None else max(0.0, next_due.total_seconds())


def _mark_delivered(command: Command, temporal_run_id: str) -> None:
    with released_connections(), platform():
        OutboxCommand.objects.filter(pk=command.id).update(delivered_at=Now(), last_error="")
        record_started(
            account_id=command.account_id,
            workflow_id=command.workflow_id,
            temporal_run_id=temporal_run_id,
            workflow_type=command.workflow_type,
        )


def _postpone(command: Command, error: str) -> None:
    delay = min(LONGEST_DELAY_SECONDS, FIRST_DELAY_SECONDS * 2 ** min(command.attempts - 1, 10))
    with released_connections(), platform():
        OutboxCommand.objects.filter(pk=command.id, delivered_at__isnull=True).update(
            available_at=Now() + timedelta(seconds=delay), last_error=error[:2000]
        )
