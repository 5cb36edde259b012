"""Which worker of pytest-xdist does which tests."""

from typing import Any

import pytest
from xdist.scheduler import LoadScopeScheduling

# Their tests share a server that is dear to make: one worker does all of them. (Marks of xdist_group would say it
# beside the tests, but reach the scheduler in a field that pytest 9 does not read any more.)
TOGETHER = (
    "tests/backups/",
    "tests/dashboard/test_replicas.py",
    "tests/stack/test_pgbouncer.py",
    "tests/stack/test_up.py",
)


class Scheduling(LoadScopeScheduling):  # type: ignore[misc]  # comes without types
    """Each test by itself to whoever is free, but for `TOGETHER`."""

    def __init__(self, config: pytest.Config, log: Any = None) -> None:
        super().__init__(config, log)
        gone = [files for files in TOGETHER if not (config.rootpath / files).exists()]
        if gone:
            raise pytest.UsageError(f"tests/scheduling.py keeps together what is not there: {', '.join(gone)}.")

    def remove_node(self, node: Any) -> str | None:
        """Others do what a dead worker has left, without the test that took it down.

        xdist's own gives out all that the worker ever had: tests that are done, of which nobody reports again, so that
        the run waits for ever; and the deadly one, until it has taken every worker down.
        """
        units = self.assigned_work[node]
        undone = [test for unit in units.values() for test, is_done in unit.items() if not is_done]
        rest = {scope: {test: False for test in unit if test in undone[1:]} for scope, unit in units.items()}
        self.assigned_work[node] = {scope: unit for scope, unit in rest.items() if unit}
        super().remove_node(node)
        return undone[0] if undone else None

    def _split_scope(self, nodeid: str) -> str:
        return next((files for files in TOGETHER if nodeid.startswith(files)), nodeid)

    def _reschedule(self, node: Any) -> None:
        """A worker begins a test when it knows the next: one that takes a dead one's place needs two."""
        super()._reschedule(node)
        if self._pending_of(self.assigned_work[node]) < 2:
            super()._reschedule(node)
