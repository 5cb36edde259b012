"""What runs left on this host when it was away at their end: agents without a run, directories without an agent."""

import asyncio
import logging
import shutil
from pathlib import Path

from django.conf import settings

from agent_runs import supervisor
from agent_runs.models import LIVE_STATUSES, AgentRun
from paid.lib.tenancy import platform
from workflows.connections import released_connections

logger = logging.getLogger(__name__)

INTERVAL_SECONDS = 60.0


async def clear_left_overs_for_ever() -> None:
    """Beside the agents' worker, until cancelled."""
    while True:
        try:
            await asyncio.to_thread(clear_left_overs)
        except Exception:  # a database that is away now is asked again later
            logger.exception("What runs left on this host could not be cleared")
        await asyncio.sleep(INTERVAL_SECONDS)


def clear_left_overs() -> list[int]:
    """End the agents of runs that have ended, and remove the files of those whose agent is gone; returns the runs.

    A run that was just asked to stop is cleared by the next call.
    """
    here = {int(path.name): path for path in _run_dirs()}
    with released_connections(), platform():
        live = set(AgentRun.objects.filter(pk__in=here, status__in=LIVE_STATUSES).values_list("pk", flat=True))
    left = sorted(set(here) - live)
    for run_id in left:
        run_dir = here[run_id]
        if living := supervisor.live_in(str(run_dir)):
            logger.warning("The agent of run %s lived on after its run", run_id)
            for directory in living:
                supervisor.request_stop(directory, "The run has ended.")
        else:
            shutil.rmtree(run_dir, ignore_errors=True)
    return left


def _run_dirs() -> list[Path]:
    root = Path(settings.RUNS_DIR)
    return [path for path in root.iterdir() if path.name.isdigit() and path.is_dir()] if root.is_dir() else []
