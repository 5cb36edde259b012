"""Real sandboxes under real supervisors; what is left afterwards is read from the process list."""

import json
import os
import resource
import signal
import stat
import subprocess
import sys
import uuid
from pathlib import Path
from typing import Any

import pytest

from agent_runs import spool, supervisor
from agent_runs.contracts import ReadOnlyBind
from agent_runs.sandbox import SandboxSpec
from agent_runs.sandbox.binaries import bubblewrap_program
from agent_runs.supervisor import files
from agent_runs.supervisor.plan import Plan, decode_plan, encode_plan
from tests.agent_runs.processes import (
    command_lines,
    launch_and_kill_the_launcher,
    pids_with,
    wait_for_line,
    wait_until,
)


class Bench:
    """A run's directory and a word that every process of this run has in its command line."""

    def __init__(self, root: Path) -> None:
        self.mark = f"mark-{uuid.uuid4().hex}"
        self.runs_dir = root / "runs"
        self.run_dir = str(self.runs_dir / "7")
        self.workspace = root / "workspace"
        self.workspace.mkdir()

    def plan(self, script: str, **changes: Any) -> Plan:
        argv = ("/bin/bash", "-c", script, self.mark)
        return Plan(SandboxSpec(workspace=str(self.workspace)), argv, "the prompt\n", bubblewrap_program(), **changes)

    def start(self, script: str, **changes: Any) -> None:
        supervisor.start(self.run_dir, self.plan(script, **changes))

    def finish(self) -> Any:
        wait_until(lambda: not supervisor.is_alive(self.run_dir))
        return supervisor.read_exit(self.run_dir)

    def lines(self) -> list[tuple[str, str]]:
        return [(record.stream, record.text) for record in spool.read_from(self.run_dir, 0)[0]]


@pytest.fixture
def bench(tmp_path: Path) -> Any:
    made = Bench(tmp_path)
    yield made
    assert supervisor.stop_all(str(made.runs_dir), "end of the test", timeout_seconds=60) == []
    assert pids_with(made.mark) == []


def test_it_spools_both_streams_and_the_exit_code(bench: Bench) -> None:
    bench.start("cat; echo out; echo err >&2; exit 3")
    ended = bench.finish()
    assert (ended.reason, ended.exit_code, ended.closing_event, ended.detail) == ("finished", 3, False, "")
    assert sorted(bench.lines()) == [("stderr", "err"), ("stdout", "out"), ("stdout", "the prompt")]
    assert [record.seq for record in spool.read_from(bench.run_dir, 0)[0]] == [1, 2, 3]


def test_a_second_launch_of_an_ended_run_starts_nothing(bench: Bench) -> None:
    bench.start("echo once >> /workspace/count")
    first = bench.finish()
    bench.start("echo once >> /workspace/count")
    assert bench.finish() == first
    assert (bench.workspace / "count").read_text() == "once\n"


def test_a_second_launch_attaches_to_the_living_agent(bench: Bench) -> None:
    # It is the shell's copy that says so: from then on nothing is started any more.
    script = "read -t 600 < <(echo up >&2; exec sleep 600)"
    bench.start(script)
    wait_for_line(bench.run_dir, "up")
    # With them that copy, perhaps, until it is `sleep`.
    before = set(pids_with(bench.mark))
    bench.start(script)
    assert set() < set(pids_with(bench.mark)) <= before
    assert bench.lines() == [("stderr", "up")]


def test_killing_the_launcher_and_its_group_leaves_the_agent_running(bench: Bench) -> None:
    script = "echo up; until [ -e /workspace/go ]; do :; done; echo end"
    launch_and_kill_the_launcher(bench.run_dir, bench.plan(script))
    wait_for_line(bench.run_dir, "up")
    before = pids_with(bench.mark)
    assert before != []
    bench.start("echo a second agent")
    assert pids_with(bench.mark) == before
    (bench.workspace / "go").touch()
    assert bench.finish().reason == "finished"
    assert bench.lines() == [("stdout", "up"), ("stdout", "end")]


def test_a_launcher_that_dies_before_its_agent_is_up_leaves_it_running(bench: Bench) -> None:
    Path(bench.run_dir).mkdir(parents=True)
    lock = files.open_lock(bench.run_dir)
    assert files.take_lock(lock)
    nobody, ready = os.pipe()
    os.close(nobody)
    try:
        subprocess.run(
            [sys.executable, "-m", "agent_runs.supervisor", bench.run_dir, str(lock), str(ready)],
            input=encode_plan(bench.plan("echo up")),
            pass_fds=(lock, ready),
            check=True,
            timeout=60,
        )
    finally:
        os.close(lock)
        os.close(ready)
    assert bench.finish().reason == "finished"
    assert bench.lines() == [("stdout", "up")]


def test_a_polite_agent_says_its_last_word_when_stopped(bench: Bench) -> None:
    script = "trap 'echo bye; exit 0' INT; echo up; while :; do sleep 0.05; done"
    bench.start(script, stop_grace_seconds=60)
    wait_for_line(bench.run_dir, "up")
    supervisor.request_stop(bench.run_dir, "Stopped by Ada.")
    # Killed it would say nothing, and exit with 137.
    ended = bench.finish()
    assert (ended.reason, ended.exit_code, ended.detail) == ("stopped", 0, "Stopped by Ada.")
    assert bench.lines() == [("stdout", "up"), ("stdout", "bye"), ("system", "Stopped by Ada.")]


def test_an_agent_that_does_not_listen_is_gone_in_under_five_seconds(bench: Bench) -> None:
    # A number of its own: other tests sleep at the same time.
    nap = f"sleep 600.{uuid.uuid4().int}"
    bench.start(f"trap '' INT TERM; (trap '' INT TERM; setsid {nap}) & echo up; {nap}")
    wait_for_line(bench.run_dir, "up")
    wait_until(lambda: len([line for line in command_lines().values() if line.startswith(nap)]) == 2)
    supervisor.request_stop(bench.run_dir, "Stopped by Ada.")
    wait_until(lambda: pids_with(bench.mark) == [])
    # The rest of the five seconds is the machine's.
    assert bench.plan("").stop_grace_seconds < 4
    assert bench.finish().reason == "stopped"
    assert pids_with(nap) == []


def test_a_stop_before_the_launch_holds(bench: Bench) -> None:
    supervisor.request_stop(bench.run_dir, "Too late to start.")
    bench.start("sleep 600")
    ended = bench.finish()
    assert (ended.reason, ended.detail) == ("stopped", "Too late to start.")


def test_sigterm_to_the_supervisor_is_a_stop(bench: Bench) -> None:
    bench.start("echo up; exec sleep 600")
    wait_for_line(bench.run_dir, "up")
    state = json.loads((Path(bench.run_dir) / "supervisor.json").read_text())
    os.kill(state["pid"], signal.SIGTERM)
    ended = bench.finish()
    assert (ended.reason, ended.detail) == ("stopped", "Stopped by signal SIGTERM.")


def test_a_killed_supervisor_takes_its_agent_along_and_the_run_is_lost(bench: Bench) -> None:
    bench.start("echo up; sleep 600")
    wait_for_line(bench.run_dir, "up")
    state = json.loads((Path(bench.run_dir) / "supervisor.json").read_text())
    os.kill(state["pid"], signal.SIGKILL)
    wait_until(lambda: pids_with(bench.mark) == [])
    assert supervisor.read_exit(bench.run_dir) is None
    bench.start("echo a second agent")
    ended = bench.finish()
    assert (ended.reason, ended.exit_code) == ("lost", None)
    assert bench.lines() == [("stdout", "up")]


def test_it_stops_reading_after_the_closing_event_though_a_grandchild_holds_the_output(bench: Bench) -> None:
    script = """echo '{"type":"result","subtype":"success"}'; (while :; do echo noise; sleep 0.05; done) & sleep 600"""
    bench.start(script, closing_types=("result",), closing_grace_seconds=0.5)
    ended = bench.finish()
    assert (ended.reason, ended.closing_event) == ("finished", True)


def test_a_line_that_only_speaks_of_a_result_closes_nothing(bench: Bench) -> None:
    bench.start("""echo '{"type":"user","text":"result"}'; echo '"result"'; echo end""", closing_types=("result",))
    assert bench.finish().closing_event is False
    assert bench.lines()[-1] == ("stdout", "end")


def test_silence_ends_the_run(bench: Bench) -> None:
    bench.start("echo up; exec sleep 600", stall_seconds=0.3)
    ended = bench.finish()
    assert (ended.reason, ended.detail) == ("stall_timeout", "No output for 0.3 seconds.")


def test_the_clock_ends_the_run_whatever_it_prints(bench: Bench) -> None:
    bench.start("while :; do echo tick; sleep 0.05; done", wall_seconds=0.4)
    ended = bench.finish()
    assert (ended.reason, ended.detail) == ("wall_timeout", "Longer than 0.4 seconds.")


def test_a_ten_megabyte_line_and_bytes_that_are_no_text_are_kept(bench: Bench) -> None:
    bench.start(r"""head -c 10000000 /dev/zero | tr '\0' x; echo; printf 'a\377b\0c\n'; printf 'no newline'""")
    bench.finish()
    records: list[Any] = []
    offset = 0
    while (answer := spool.read_from(bench.run_dir, offset))[0]:
        records += answer[0]
        offset = answer[1]
    assert [len(record.text) for record in records] == [10_000_000, 5, 10]
    assert [record.text for record in records[1:]] == ["a\ufffdb\0c", "no newline"]


def test_the_spool_is_bounded_but_the_closing_event_is_kept(bench: Bench) -> None:
    script = """for i in {1..5000}; do echo "line $i with some more words to fill it"; done; echo '{"type":"result"}'"""
    bench.start(script, closing_types=("result",), spool_limit_bytes=20_000)
    assert bench.finish().closing_event is True
    lines = bench.lines()
    assert lines[-2:] == [
        ("system", "Output passed 20000 bytes: the rest is not kept."),
        ("stdout", '{"type":"result"}'),
    ]
    assert (Path(bench.run_dir) / "spool.ndjson").stat().st_size < 21_000


def test_a_disk_without_room_for_the_spool_ends_the_agent_and_says_so(bench: Bench) -> None:
    up = "up" * 500
    bench.start(f"echo {up}; until [ -e /workspace/go ]; do :; done; echo more; exec sleep 600")
    wait_for_line(bench.run_dir, up)
    state = json.loads((Path(bench.run_dir) / "supervisor.json").read_text())
    full = (Path(bench.run_dir) / "spool.ndjson").stat().st_size + 10
    resource.prlimit(state["pid"], resource.RLIMIT_FSIZE, (full, full))
    (bench.workspace / "go").touch()
    ended = bench.finish()
    assert (ended.reason, ended.detail) == ("disk_full", "The agent's output could not be written: File too large.")
    assert bench.lines() == [("stdout", up)]
    assert pids_with(bench.mark) == []


def test_the_token_is_nowhere_but_in_the_agents_environment(bench: Bench) -> None:
    token = "token-" + uuid.uuid4().hex
    bench.start(
        'echo "I hold $TOKEN"; until [ -e /workspace/go ]; do sleep 0.05; done',
        environment=(("TOKEN", token),),
        secrets=(token,),
    )
    wait_for_line(bench.run_dir, "I hold [run token]")
    assert [line for line in command_lines().values() if token in line] == []
    files = [path for path in Path(bench.run_dir).rglob("*") if path.is_file()]
    assert [path.name for path in files if token.encode() in path.read_bytes()] == []
    assert {stat.S_IMODE(path.stat().st_mode) for path in files} == {0o600}
    (bench.workspace / "go").touch()
    bench.finish()


def test_a_sandbox_that_cannot_be_made_is_an_exit_with_its_reason(bench: Bench) -> None:
    plan = bench.plan("echo never")
    missing = Plan(SandboxSpec(workspace="/nonexistent/workspace"), plan.argv, "", plan.bubblewrap)
    supervisor.start(bench.run_dir, missing)
    ended = bench.finish()
    assert (ended.reason, ended.exit_code) == ("launch_failed", None)
    assert "/nonexistent/workspace" in ended.detail
    assert [stream for stream, _ in bench.lines()] == ["system"]


def test_only_the_living_are_listed(bench: Bench) -> None:
    assert supervisor.list_live(str(bench.runs_dir)) == []
    bench.start("echo up; sleep 600")
    assert supervisor.list_live(str(bench.runs_dir)) == [bench.run_dir]
    assert supervisor.stop_all(str(bench.runs_dir), "Paid is shutting down.", timeout_seconds=60) == []
    assert supervisor.list_live(str(bench.runs_dir)) == []
    assert bench.finish().detail == "Paid is shutting down."


def test_a_plan_survives_the_way_to_the_supervisor() -> None:
    spec = SandboxSpec(workspace="/w", read_only=(ReadOnlyBind("/a", "/b"),), writable=(("/c", "/d"),))
    plan = Plan(spec, ("a", "b"), "p", "/bwrap", (("K", "V"),), (("/f", "t"),), ("s",), ("result",), 5.0)
    assert decode_plan(encode_plan(plan)) == plan
