"""A sandbox that fails says why in its own words, at whatever moment it fails."""

import sys
from pathlib import Path

import pytest

from agent_runs.sandbox import process
from agent_runs.sandbox.arguments import SandboxSpec
from agent_runs.sandbox.errors import SandboxUnavailable
from agent_runs.sandbox.process import start_sealed
from tests.agent_runs.processes import pids_with, wait_until

# Reports a first process that is gone already, as bubblewrap does whose mount fails a moment after its report.
FAILS_AFTER_ITS_REPORT = """#!{python}
import json, os, subprocess, sys
arguments = os.read(int(sys.argv[2]), 1_000_000).decode().split("\\0")
gone = subprocess.Popen(["true"])
gone.wait()
os.write(int(arguments[arguments.index("--info-fd") + 1]), json.dumps({{"child-pid": gone.pid}}).encode())
sys.exit("bwrap: Can't find source path /nonexistent/workspace")
"""

# Says nothing for too long, and leaves its sandbox's first process behind, with its own standard error.
NEVER_REPORTS = """#!/bin/sh
echo "bwrap: no room" >&2
sleep 618 &
exec sleep 618
"""


def test_one_that_never_reports_is_given_up_though_a_child_of_it_lives_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(process, "_SET_UP_SECONDS", 1)
    monkeypatch.setattr(process, "_WORDS_SECONDS", 3)
    program = tmp_path / "bwrap"
    program.write_text(NEVER_REPORTS)
    program.chmod(0o700)
    before = pids_with("sleep 618")
    with pytest.raises(SandboxUnavailable, match="bwrap: no room"):
        start_sealed(SandboxSpec(workspace=str(tmp_path)), ["true"], bubblewrap=str(program))
    wait_until(lambda: pids_with("sleep 618") == before)


def test_one_that_fails_between_its_report_and_its_limits_says_why(tmp_path: Path) -> None:
    program = tmp_path / "bwrap"
    program.write_text(FAILS_AFTER_ITS_REPORT.format(python=sys.executable))
    program.chmod(0o700)
    with pytest.raises(SandboxUnavailable, match="Can't find source path /nonexistent/workspace"):
        start_sealed(SandboxSpec(workspace=str(tmp_path)), ["true"], bubblewrap=str(program))
