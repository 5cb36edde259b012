"""The activities of a prompt's evolution, played."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from datetime import datetime

from temporalio import activity
from temporalio.client import Client
from temporalio.exceptions import ApplicationError
from temporalio.worker import Worker

from workflows.contracts import AGENTS_QUEUE, CONTROL_QUEUE
from workflows.evolution_contracts import (
    CONSULT_MODEL,
    FOLLOW_EXPERIMENT,
    GIVE_UP_EVOLUTION,
    OPEN_EVOLUTION,
    PROPOSE,
    TRY_PROPOSALS,
    EvolutionInput,
    EvolutionRef,
    GivenUp,
    OpenedEvolution,
    StepEnd,
)
from workflows.evolution_workflow import EvolvePromptWorkflow
from workflows.worker import DEPLOYMENT


@dataclass
class Evolver:
    """`looks` is how often the experiment still runs when it is looked at."""

    opened: OpenedEvolution = field(default_factory=lambda: OpenedEvolution(9))
    is_answered: bool = True
    is_proposed: bool = True
    is_broken: bool = False
    looks: int = 2
    calls: list[str] = field(default_factory=list)
    looked_at: list[datetime] = field(default_factory=list)
    asked_at: list[datetime] = field(default_factory=list)
    given_up: list[GivenUp] = field(default_factory=list)
    given_up_at: datetime | None = None
    proposed: asyncio.Event = field(default_factory=asyncio.Event)

    @activity.defn(name=OPEN_EVOLUTION)
    async def open(self, wanted: EvolutionInput) -> OpenedEvolution:
        self.calls.append(f"open {wanted.prompt_id}")
        return self.opened

    @activity.defn(name=CONSULT_MODEL)
    async def consult(self, evolution: EvolutionRef) -> StepEnd:
        self.calls.append(f"consult {evolution.evolution_id}")
        self.asked_at.append(activity.info().started_time)
        if self.is_broken:
            raise ApplicationError("The gateway does not answer: ConnectError.", type="GatewayAway")
        return StepEnd(self.is_answered)

    @activity.defn(name=PROPOSE)
    async def propose(self, evolution: EvolutionRef) -> StepEnd:
        self.calls.append(f"propose {evolution.evolution_id}")
        self.proposed.set()
        return StepEnd(self.is_proposed)

    @activity.defn(name=TRY_PROPOSALS)
    async def try_proposals(self, evolution: EvolutionRef) -> StepEnd:
        self.calls.append(f"try {evolution.evolution_id}")
        return StepEnd()

    @activity.defn(name=FOLLOW_EXPERIMENT)
    async def follow(self, evolution: EvolutionRef) -> StepEnd:
        self.calls.append(f"follow {evolution.evolution_id}")
        self.looked_at.append(activity.info().started_time)
        return StepEnd(len(self.looked_at) <= self.looks)

    @activity.defn(name=GIVE_UP_EVOLUTION)
    async def give_up(self, given_up: GivenUp) -> StepEnd:
        self.calls.append(f"give up {given_up.evolution.evolution_id}")
        self.given_up.append(given_up)
        self.given_up_at = activity.info().started_time
        return StepEnd(False)

    @asynccontextmanager
    async def workers(self, client: Client) -> AsyncIterator[None]:
        control = Worker(
            client,
            task_queue=CONTROL_QUEUE,
            workflows=[EvolvePromptWorkflow],
            activities=[self.open, self.propose, self.try_proposals, self.follow, self.give_up],
            deployment_config=DEPLOYMENT,
        )
        agents = Worker(client, task_queue=AGENTS_QUEUE, activities=[self.consult], deployment_config=DEPLOYMENT)
        async with control, agents:
            yield
