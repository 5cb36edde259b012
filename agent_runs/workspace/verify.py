"""Run the project's own tests and linter on what was committed: a clean copy, sealed, bounded, under a supervisor."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from agent_runs import spool, supervisor
from agent_runs.contracts import Workspace
from agent_runs.sandbox import SandboxSpec
from agent_runs.sandbox.binaries import bubblewrap_program
from agent_runs.supervisor.control import CHECKS
from agent_runs.supervisor.plan import Plan
from paid.lib.git import git

_POLL_SECONDS = 0.2
_LAST_LINES = 12
_SPOOL_BYTES = 4 * 1024 * 1024


@dataclass(frozen=True)
class Check:
    """`is_passing` is None when the command could not say: it was stopped, or took too long."""

    name: str
    command: str
    is_passing: bool | None
    words: str


def check_commit(
    place: Workspace,
    *,
    head_sha: str,
    name: str,
    command: str,
    wall_seconds: float,
    is_stopped: Callable[[], bool],
    wait: Callable[[float], object],
) -> Check:
    """What `command` (a line of shell) says in a clean copy of the commit, without network.

    Asked again for the same run it attaches to the command that runs, or gives what it said: it runs once. `wait`
    waits for some seconds between two looks at it, and `is_stopped` says whether it should end early. Raises
    GitFailed, SupervisorFailed and SandboxUnavailable.
    """
    run_dir = Path(place.path).parent / CHECKS / name
    copy = run_dir / "files"
    if not (run_dir / "copied").exists():
        _copy(place, head_sha, copy)
        (run_dir / "copied").touch()
    plan = Plan(
        spec=SandboxSpec(workspace=str(copy), read_only=place.read_only),
        argv=("/bin/bash", "-c", command),
        prompt="",
        bubblewrap=bubblewrap_program(),
        environment=(("CI", "true"), ("PYTHONDONTWRITEBYTECODE", "1")),
        wall_seconds=wall_seconds,
        stall_seconds=wall_seconds,
        spool_limit_bytes=_SPOOL_BYTES,
    )
    supervisor.start(str(run_dir), plan)
    while supervisor.is_alive(str(run_dir)):
        if is_stopped():
            supervisor.request_stop(str(run_dir), "The run was stopped.")
        wait(_POLL_SECONDS)
    return _verdict(str(run_dir), name, command)


def _copy(place: Workspace, head_sha: str, copy: Path) -> None:
    """The files of the commit as git would check them out, without a repository: nothing of the agent's own is left."""
    copy.mkdir(mode=0o700, parents=True, exist_ok=True)
    own_index = {"GIT_INDEX_FILE": str(copy.parent / "index")}
    git(place.git_dir, ["read-tree", head_sha], environment=own_index)
    git(
        place.git_dir,
        [f"--work-tree={copy}", "checkout-index", "--all", "--force", f"--prefix={copy}/"],
        environment=own_index,
    )


def _verdict(run_dir: str, name: str, command: str) -> Check:
    ended = supervisor.read_exit(run_dir)
    lines = [record.text for record in spool.read_from(run_dir, 0)[0] if record.text.strip()]
    words = "\n".join(lines[-_LAST_LINES:])
    if ended is None or ended.reason != "finished":
        return Check(name, command, None, ended.detail if ended else "It ended without a word.")
    return Check(name, command, ended.exit_code == 0, words)
