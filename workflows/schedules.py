"""Keeps one Temporal Schedule for each project that is polled, as the projects' rows want it."""

import asyncio
import logging
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

from paid.lib.tenancy import platform
from projects.contracts import ProjectRef
from projects.models import ForgeKind, Project
from workflows.connections import released_connections
from workflows.contracts import CONTROL_QUEUE
from workflows.forge_contracts import POLL_WORKFLOW, poll_schedule_id

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 10.0
# Temporal may have lost a schedule (a new server, an operator's hand): all are looked at again this often.
ROUNDS_BEFORE_CHECKING_ALL = 60
SHORTEST_POLL_SECONDS = 15
CATCH_UP = timedelta(minutes=1)
RPC_TIMEOUT = timedelta(seconds=10)


@dataclass(frozen=True)
class Wanted:
    account_id: int
    project_id: int
    every_seconds: int


class PollSchedules:
    """Runs beside the control worker. Any number may run at once: each makes the same of the same rows."""

    def __init__(self, client: Client) -> None:
        self._client = client
        self._kept: dict[int, Wanted] = {}
        self._rounds = 0

    async def run(self) -> None:
        """Until cancelled."""
        while True:
            try:
                await self.keep()
            except Exception:  # a server that is away now is asked again later
                logger.exception("The poll schedules could not be kept")
                self._kept.clear()
            await asyncio.sleep(INTERVAL_SECONDS)

    async def keep(self) -> None:
        """Make the schedules agree with the rows."""
        if self._rounds % ROUNDS_BEFORE_CHECKING_ALL == 0:
            self._kept.clear()
            await self._drop_strangers(await asyncio.to_thread(wanted_schedules))
        self._rounds += 1
        wanted = await asyncio.to_thread(wanted_schedules)
        for project_id, schedule in wanted.items():
            if self._kept.get(project_id) != schedule:
                await self._put(schedule)
                self._kept[project_id] = schedule
        for project_id in set(self._kept) - set(wanted):
            await self._drop(poll_schedule_id(project_id))
            del self._kept[project_id]

    async def _put(self, wanted: Wanted) -> None:
        schedule_id, schedule = poll_schedule_id(wanted.project_id), _schedule(wanted)

        def replaced(_: ScheduleUpdateInput) -> ScheduleUpdate:
            return ScheduleUpdate(schedule)

        try:
            await self._client.create_schedule(schedule_id, schedule, trigger_immediately=True, rpc_timeout=RPC_TIMEOUT)
        except ScheduleAlreadyRunningError:
            await self._client.get_schedule_handle(schedule_id).update(replaced, rpc_timeout=RPC_TIMEOUT)

    async def _drop_strangers(self, wanted: dict[int, Wanted]) -> None:
        ours = {poll_schedule_id(project_id) for project_id in wanted}
        async for found in await self._client.list_schedules(rpc_timeout=RPC_TIMEOUT):
            if found.id.startswith("poll-") and found.id not in ours:
                await self._drop(found.id)

    async def _drop(self, schedule_id: str) -> None:
        try:
            await self._client.get_schedule_handle(schedule_id).delete(rpc_timeout=RPC_TIMEOUT)
        except RPCError as error:
            if error.status != RPCStatusCode.NOT_FOUND:
                raise


def wanted_schedules() -> dict[int, Wanted]:
    """What is to be polled, by project."""
    with released_connections(), platform():
        rows = Project.objects.filter(forge=ForgeKind.GITHUB, is_active=True, github_token__revoked_at__isnull=True)
        found = rows.exclude(github_token=None).values_list("account_id", "pk", "poll_interval_seconds")
        return {
            project_id: Wanted(account_id, project_id, max(seconds, SHORTEST_POLL_SECONDS))
            for account_id, project_id, seconds in found
        }


def _schedule(wanted: Wanted) -> Schedule:
    return Schedule(
        action=ScheduleActionStartWorkflow(
            POLL_WORKFLOW,
            ProjectRef(wanted.account_id, wanted.project_id),
            id=poll_schedule_id(wanted.project_id),
            task_queue=CONTROL_QUEUE,
        ),
        spec=ScheduleSpec(intervals=[ScheduleIntervalSpec(every=timedelta(seconds=wanted.every_seconds))]),
        policy=SchedulePolicy(overlap=ScheduleOverlapPolicy.SKIP, catchup_window=CATCH_UP),
    )
