"""Keeps Temporal's Schedules as the rows want them: one for each project that is polled, and for each prompt that
evolves.
"""

import asyncio
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import timedelta

from temporalio.client import (
    Client,
    Schedule,
    ScheduleActionStartWorkflow,
    ScheduleAlreadyRunningError,
    ScheduleIntervalSpec,
    ScheduleOverlapPolicy,
    SchedulePolicy,
    ScheduleSpec,
    ScheduleUpdate,
    ScheduleUpdateInput,
)
from temporalio.service import RPCError, RPCStatusCode

from metrics.models import EvolutionPolicy
from paid.lib.tenancy import platform
from projects.contracts import ProjectRef
from projects.models import ForgeKind, Project
from workflows.connections import released_connections
from workflows.contracts import CONTROL_QUEUE
from workflows.evolution_contracts import EVOLUTION_WORKFLOW, EvolutionInput, evolution_schedule_id
from workflows.forge_contracts import POLL_WORKFLOW, poll_schedule_id

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0
# Temporal may have lost a schedule (a new server, an operator's hand): all are looked at again this often.
ROUNDS_BEFORE_CHECKING_ALL = 60
SHORTEST_POLL_SECONDS = 15
CATCH_UP = timedelta(minutes=1)
RPC_TIMEOUT = timedelta(seconds=10)
# What the ids of our schedules begin with: what else is in the namespace is left alone.
OURS = ("poll-", "evolve-")


@dataclass(frozen=True)
class Wanted:
    """`id` is the schedule's, and what its workflows' ids begin with."""

    id: str
    workflow: str
    subject: ProjectRef | EvolutionInput
    every_seconds: int


class Schedules:
    """Runs beside the control worker. Any number may run at once: each makes the same of the same rows."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._kept: dict[str, Wanted] = {}
        self._rounds = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.keep()
            except Exception:  # a server that is away now is asked again later
                logger.exception("The schedules could not be kept")
                self._kept.clear()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def keep(self) -> None:
        """Make the schedules agree with the rows."""
        if self._rounds % ROUNDS_BEFORE_CHECKING_ALL == 0:
            self._kept.clear()
            await self._drop_strangers(await asyncio.to_thread(wanted_schedules))
        self._rounds += 1
        wanted = await asyncio.to_thread(wanted_schedules)
        for schedule_id, schedule in wanted.items():
            if self._kept.get(schedule_id) != schedule:
                await self._put(schedule)
                self._kept[schedule_id] = schedule
        for schedule_id in set(self._kept) - set(wanted):
            await self._drop(schedule_id)
            del self._kept[schedule_id]

    async def _put(self, wanted: Wanted) -> None:
        schedule = _schedule(wanted)

        def replaced(_: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(schedule)

        try:
            await self._client.create_schedule(wanted.id, schedule, trigger_immediately=True, rpc_timeout=RPC_TIMEOUT)
        except ScheduleAlreadyRunningError:
            await self._client.get_schedule_handle(wanted.id).update(replaced, rpc_timeout=RPC_TIMEOUT)

    async def _drop_strangers(self, wanted: Mapping[str, Wanted]) -> None:
        async for found in await self._client.list_schedules(rpc_timeout=RPC_TIMEOUT):
            if found.id.startswith(OURS) and found.id not in wanted:
                await self._drop(found.id)

    async def _drop(self, schedule_id: str) -> None:
        try:
            await self._client.get_schedule_handle(schedule_id).delete(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise


def wanted_schedules() -> dict[str, Wanted]:
    """What is to run again and again, by the schedule's id."""
    with released_connections(), platform():
        return {wanted.id: wanted for wanted in (*_polls(), *_evolutions())}


def _polls() -> list[Wanted]:
    rows = Project.objects.filter(forge=ForgeKind.GITHUB, is_active=True, github_token__revoked_at__isnull=True)
    found = rows.exclude(github_token=None).values_list("account_id", "pk", "poll_interval_seconds")
    return [
        Wanted(
            poll_schedule_id(project_id),
            POLL_WORKFLOW,
            ProjectRef(account_id, project_id),
            max(seconds, SHORTEST_POLL_SECONDS),
        )
        for account_id, project_id, seconds in found
    ]


def _evolutions() -> list[Wanted]:
    rows = EvolutionPolicy.objects.filter(is_on=True).values_list("account_id", "prompt_id", "every_hours")
    return [
        Wanted(
            evolution_schedule_id(prompt_id), EVOLUTION_WORKFLOW, EvolutionInput(account_id, prompt_id), hours * 3_600
        )
        for account_id, prompt_id, hours in rows
    ]


def _schedule(wanted: Wanted) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(wanted.workflow, wanted.subject, id=wanted.id, task_queue=CONTROL_QUEUE),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=wanted.every_seconds))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )
