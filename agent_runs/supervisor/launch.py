"""Start the supervisor of a run, or find that it already lives or has ended."""

import contextlib
import os
import select
import subprocess
import sys
from datetime import UTC, datetime
from pathlib import Path

from agent_runs.agents.registry import adapter_for
from agent_runs.contracts import AgentJob, ExitRecord
from agent_runs.sandbox import SandboxSpec
from agent_runs.sandbox.binaries import bubblewrap_program
from agent_runs.supervisor import files
from agent_runs.supervisor.plan import Plan, encode_plan

_PROJECT = Path(__file__).resolve().parent.parent.parent
_READY_SECONDS = 20.0


class SupervisorFailed(Exception):
    """The supervisor of an agent did not start."""


def plan_for(job: AgentJob) -> Plan:
    adapter = adapter_for(job.agent)
    spec = SandboxSpec(
        workspace=job.workspace,
        gateway_socket=job.gateway_socket,
        read_only=(*adapter.binds(job), *job.read_only),
    )
    return Plan(
        spec=spec,
        argv=tuple(adapter.argv(job)),
        prompt=job.prompt,
        bubblewrap=bubblewrap_program(),
        environment=tuple((adapter.environment(job) | dict(job.env)).items()),
        files=tuple(adapter.files(job).items()),
        secrets=(job.run_token,),
        closing_types=tuple(sorted(adapter.closing_types)),
        wall_seconds=job.wall_seconds,
        stall_seconds=job.stall_seconds,
    )


def launch(job: AgentJob) -> None:
    """Run the job's agent under a supervisor. Call it as often as you like: one agent process results.

    Attaches when the supervisor lives and does nothing when the run has ended. A supervisor that died without a
    word is recorded as "lost": the agent died with it, and what it did must not be paid for twice.
    Raises SupervisorFailed, and SandboxUnavailable when a program is not installed; a sandbox that the kernel
    refuses is no exception but an exit with "launch_failed".
    """
    start(job.run_dir, plan_for(job))


def start(run_dir: str, plan: Plan) -> None:
    """`launch` for a plan that is already made."""
    Path(run_dir).mkdir(mode=0o700, parents=True, exist_ok=True)
    if (Path(run_dir) / files.EXIT).exists():
        return
    lock = files.open_lock(run_dir)
    try:
        # Between the look above and the lock a supervisor may have ended: look again under the lock.
        if not files.take_lock(lock) or (Path(run_dir) / files.EXIT).exists():
            return
        if (state := files.read_json(run_dir, files.STATE)) is not None:
            now = datetime.now(UTC).isoformat(timespec="milliseconds")
            detail = "The supervisor died with its agent; the files it had written are kept."
            files.write_exit(run_dir, ExitRecord("lost", None, False, str(state["started_at"]), now, detail))
            return
        _start_process(run_dir, plan, lock)
    finally:
        os.close(lock)


def _start_process(run_dir: str, plan: Plan, lock: int) -> None:
    ready_read, ready_write = os.pipe()
    try:
        # -E -s -S: neither the worker's environment nor any installed package reaches the supervisor.
        process = subprocess.Popen(
            [sys.executable, "-E", "-s", "-S", "-m", "agent_runs.supervisor", run_dir, str(lock), str(ready_write)],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            pass_fds=(lock, ready_write),
            start_new_session=True,
            cwd=_PROJECT,
            env={"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8"},
        )
        os.close(ready_write)
        ready_write = -1
        _, errors = process.communicate(encode_plan(plan), timeout=_READY_SECONDS)
        if not _is_ready(ready_read):
            raise SupervisorFailed(errors.decode(errors="replace")[-2000:] or _last_words(run_dir))
    finally:
        for descriptor in (ready_read, ready_write):
            if descriptor >= 0:
                os.close(descriptor)


def _is_ready(descriptor: int) -> bool:
    readable, _, _ = select.select([descriptor], [], [], _READY_SECONDS)
    return bool(readable) and os.read(descriptor, 1) == b"1"


def _last_words(run_dir: str) -> str:
    with contextlib.suppress(OSError):
        return (Path(run_dir) / files.LOG).read_text(errors="replace")[-2000:]
    return "The supervisor did not answer."
