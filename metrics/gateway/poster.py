"""Brings what settlements leave on escrows into the runs' own sums, behind them and for many calls at a time."""

import asyncio
import logging

import psycopg
from psycopg_pool import PoolTimeout

from metrics.gateway.ledger import Ledger

logger = logging.getLogger("paid.gateway")

# How far the runs' own sums may be behind their ledger.
POST_SECONDS = 0.5
SHUTDOWN_SECONDS = 5.0


class Poster:
    """Posts a while after the first call that was settled since the last time; never when nothing was settled.

    One run after the other, so that it never has more than one connection, whatever a run is waited for.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self._is_due = False
        self._task: asyncio.Task[None] | None = None

    def due(self) -> None:
        self._is_due = True
        if self._task is None:
            self._task = asyncio.create_task(self._post_while_due())

    async def finish(self) -> None:
        if self._task is not None:
            await asyncio.wait({self._task}, timeout=SHUTDOWN_SECONDS)

    async def _post_while_due(self) -> None:
        try:
            while self._is_due:
                await asyncio.sleep(POST_SECONDS)
                # Before it is asked: a call that is settled meanwhile may come too late for this time.
                self._is_due = False
                await self._post()
        finally:
            self._task = None

    async def _post(self) -> None:
        """What fails here is posted with the next calls, at the run's end, or by the sweep of every minute."""
        try:
            runs = await self._ledger.unposted()
        except (psycopg.Error, PoolTimeout) as error:
            logger.warning("what runs have spent was not posted (%s)", type(error).__name__)
            return
        for run_id in runs:
            try:
                await self._ledger.post(run_id)
            except (psycopg.Error, PoolTimeout) as error:
                logger.warning("run %s: what it has spent was not posted (%s)", run_id, type(error).__name__)
