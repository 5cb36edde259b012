"""The house of the tests leaves nobody behind, however a test ends."""

import subprocess
import sys
from pathlib import Path

from tests.agent_runs.processes import pids_with, wait_until
from tests.workflows.house import ROOT

# As pytest is, when whoever waits for it loses patience.
TEST_THAT_IS_KILLED = """
import sys
from pathlib import Path
import django
django.setup()
from tests.workflows.house import House
print(House({}, Path(sys.argv[1])).start_worker("agents").pid, flush=True)
sys.stdin.read()
"""


def test_a_worker_dies_with_the_test_that_started_it(tmp_path: Path):
    """One that lives on would ask for work at an address where the next session's Temporal may listen."""
    argv = [sys.executable, "-c", TEST_THAT_IS_KILLED, str(tmp_path)]
    with subprocess.Popen(argv, cwd=ROOT, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as killed:
        assert killed.stdout is not None
        worker = int(killed.stdout.readline())
        wait_until(lambda: worker in pids_with("temporal_worker"))
        killed.kill()
    wait_until(lambda: worker not in pids_with("temporal_worker"))
