"""Brings every call to its end in the ledger, also when the database or the client is away for a while."""

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine
from typing import Any
from uuid import UUID

import psycopg
from psycopg_pool import PoolClosed, PoolTimeout

from metrics.gateway.anthropic import Tokens
from metrics.gateway.ledger import Ledger, Settlement
from metrics.gateway.poster import Poster

logger = logging.getLogger("paid.gateway")

# How long an answer's last bytes wait for the ledger. Afterwards the client goes on and the settling too.
WAIT_SECONDS = 2.0
FIRST_RETRY_SECONDS = 0.2
LONGEST_RETRY_SECONDS = 10.0
SHUTDOWN_SECONDS = 10.0


class Settler:
    """Settlements run in tasks of their own: a client that leaves cancels its answer, never its bill."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.poster = Poster(ledger)
        self._tasks: set[asyncio.Task[None]] = set()

    async def settle(self, settlement: Settlement) -> None:
        await self._until_done(settlement.request_id, lambda: self._settle(settlement))

    async def release(self, request_id: UUID) -> None:
        await self._until_done(request_id, lambda: self._ledger.release(request_id))

    def note(self, request_id: UUID, tokens: Tokens) -> None:
        """Best effort: what is lost here is only precision after a crash."""
        self._start(self._once(request_id, tokens))

    async def finish(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks), timeout=SHUTDOWN_SECONDS)
        await self.poster.finish()

    async def _settle(self, settlement: Settlement) -> None:
        await self._ledger.settle(settlement)
        self.poster.due()

    async def _until_done(self, request_id: UUID, write: Callable[[], Awaitable[None]]) -> None:
        await asyncio.wait({self._start(self._retry(request_id, write))}, timeout=WAIT_SECONDS)

    def _start(self, work: Coroutine[Any, Any, None]) -> asyncio.Task[None]:
        task = asyncio.create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)
        return task

    async def _once(self, request_id: UUID, tokens: Tokens) -> None:
        try:
            await self._ledger.note(request_id, tokens)
        except (psycopg.Error, PoolTimeout) as error:
            logger.warning("call %s: its progress was not written down (%s)", request_id, type(error).__name__)

    async def _retry(self, request_id: UUID, write: Callable[[], Awaitable[None]]) -> None:
        """Until it is written. A call that this process never gets to write is settled by the next one's sweep."""
        delay = FIRST_RETRY_SECONDS
        while True:
            try:
                await write()
            except PoolClosed:
                logger.warning(
                    "call %s: this gateway ends before the ledger is back; it stays open for the sweep", request_id
                )
                return
            except (psycopg.OperationalError, PoolTimeout) as error:
                logger.warning(
                    "call %s: the ledger is away (%s), again in %.1f s", request_id, type(error).__name__, delay
                )
                await asyncio.sleep(delay)
                delay = min(delay * 2, LONGEST_RETRY_SECONDS)
            except psycopg.Error:
                logger.exception("call %s: the ledger refused it; it stays open for the sweep", request_id)
                return
            else:
                return
