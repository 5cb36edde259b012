"""Activities for tests of the workflows alone: they take the names of the real ones and note what they were asked."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta
from typing import Any

from temporalio import activity
from temporalio.exceptions import ApplicationError

from workflows.contracts import (
    BEGIN_SESSION,
    CHOOSE_MODEL,
    CLEAR_WORKSPACE,
    FINISH_RUN,
    PAUSE_RUN,
    PREPARE_WORKSPACE,
    PUBLISH_RUN,
    RUN_AGENT,
    Pause,
    PreparedRun,
    RunEnd,
    RunRef,
    StepOutcome,
)

DONE = StepOutcome()
PREPARED = PreparedRun(DONE, agent_seconds=60)


@dataclass
class Steps:
    """One answer for each step; `hangs` names those that never answer but to a cancellation."""

    prepared: PreparedRun = PREPARED
    agent: StepOutcome = DONE
    earlier_agents: list[StepOutcome] = field(default_factory=list)  # of the sessions before the last
    paused: StepOutcome = DONE
    published: StepOutcome = DONE
    breaks: frozenset[str] = frozenset()
    hangs: frozenset[str] = frozenset()
    # How often a step fails before it answers.
    failures: dict[str, int] = field(default_factory=dict)
    # How often a step works on beyond every limit before it answers; a silent one shows no sign of life.
    slow: dict[str, int] = field(default_factory=dict)
    silent: dict[str, int] = field(default_factory=dict)
    # How long publication is refused for, from its first attempt on, by the server's clock.
    away: timedelta = timedelta()
    wait: timedelta | None = None  # what a refusal asks to wait for
    calls: list[str] = field(default_factory=list)
    # When a step began last, by the server's clock: asked afterwards, that has skipped on to who knows when.
    began_at: dict[str, datetime] = field(default_factory=dict)
    published_at: list[datetime] = field(default_factory=list)
    ends: list[RunEnd] = field(default_factory=list)
    began: asyncio.Event = field(default_factory=asyncio.Event)
    gate: asyncio.Event | None = None  # what the first step waits for

    def all(self) -> list[Callable[..., Any]]:
        return [
            self.choose, self.prepare, self.run_agent, self.pause, self.begin, self.publish, self.clear, self.finish,
        ]  # fmt: skip

    async def _take(self, name: str, run: RunRef) -> None:
        self.calls.append(f"{name} {run.run_id}")
        self.began_at[name] = activity.info().started_time
        if self.failures.get(name, 0) > 0:
            self.failures[name] -= 1
            raise ApplicationError("away", "away", "The step cannot work now.", type="StepFailed")
        if self.slow.get(name, 0) > 0:
            self.slow[name] -= 1
            while not activity.is_cancelled() and self.silent.get(name, 0) == 0:
                activity.heartbeat()
                await asyncio.sleep(0.05)
            await asyncio.Event().wait()
        if name in self.breaks:
            raise ApplicationError("broken", non_retryable=True)
        if name in self.hangs:
            self.began.set()
            while True:
                activity.heartbeat()
                await asyncio.sleep(0.05)

    @activity.defn(name=CHOOSE_MODEL)
    async def choose(self, run: RunRef) -> None:
        await self._take(CHOOSE_MODEL, run)

    @activity.defn(name=PREPARE_WORKSPACE)
    async def prepare(self, run: RunRef) -> PreparedRun:
        await self._take(PREPARE_WORKSPACE, run)
        if self.gate is not None:
            await self.gate.wait()
        return self.prepared

    @activity.defn(name=RUN_AGENT)
    async def run_agent(self, run: RunRef) -> StepOutcome:
        await self._take(RUN_AGENT, run)
        return self.earlier_agents.pop(0) if self.earlier_agents else self.agent

    @activity.defn(name=PAUSE_RUN)
    async def pause(self, pause: Pause) -> StepOutcome:
        self.calls.append(f"{PAUSE_RUN} {pause.run.run_id} {pause.number} {pause.outcome.error_code}")
        return self.paused

    @activity.defn(name=BEGIN_SESSION)
    async def begin(self, run: RunRef) -> StepOutcome:
        await self._take(BEGIN_SESSION, run)
        return DONE

    @activity.defn(name=PUBLISH_RUN)
    async def publish(self, run: RunRef) -> StepOutcome:
        await self._take(PUBLISH_RUN, run)
        self.published_at.append(activity.info().started_time)
        if self.published_at[-1] - self.published_at[0] < self.away:
            words = "GitHub is away."
            raise ApplicationError(words, "forge_unavailable", words, type="StepFailed", next_retry_delay=self.wait)
        return self.published

    @activity.defn(name=CLEAR_WORKSPACE)
    async def clear(self, run: RunRef) -> None:
        await self._take(CLEAR_WORKSPACE, run)

    @activity.defn(name=FINISH_RUN)
    async def finish(self, end: RunEnd) -> None:
        await self._take(FINISH_RUN, end.run)
        self.ends.append(end)
