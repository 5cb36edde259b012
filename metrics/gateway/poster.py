"""Brings what settlements leave on escrows into the runs' own sums, behind them and for many calls at a time."""

import asyncio
import logging

import psycopg
from psycopg_pool import PoolTimeout

from metrics.gateway.ledger import Ledger

logger = logging.getLogger("paid.gateway")

# How far the runs' own sums may be behind their ledger.
POST_SECONDS = 0.5


class Poster:
    """Posts once, a while after the first call that was settled since the last time; never when nothing was settled."""

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._is_due = False
        self._tasks: set[asyncio.Task[None]] = set()

    def due(self) -> None:
        if not self._is_due:
            self._is_due = True
            task = asyncio.create_task(self._post())
            self._tasks.add(task)
            task.add_done_callback(self._tasks.discard)

    async def finish(self) -> None:
        if self._tasks:
            await asyncio.wait(set(self._tasks))

    async def _post(self) -> None:
        """What fails here is posted with the next calls, at the run's end, or by the sweep of every minute."""
        await asyncio.sleep(POST_SECONDS)
        # Before it is asked: a call that is settled meanwhile may come too late for this time.
        self._is_due = False
        try:
            await self._ledger.post()
        except (psycopg.Error, PoolTimeout) as error:
            logger.warning("what runs have spent was not posted (%s)", type(error).__name__)
