"""Runs the attempts in a sandbox, against real targets of this host."""

import contextlib
import json
import os
import secrets
import socket
import subprocess
import tempfile
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from agent_runs.contracts import ReadOnlyBind
from agent_runs.sandbox import SandboxSpec, SealedResult, run_sealed
from agent_runs.seal import attempts
from agent_runs.seal.attempts import ATTEMPTS, GATEWAY_ATTEMPT, Target

Run = Callable[[SandboxSpec, Sequence[str], bytes], SealedResult]

OBJECTS = "/run/paid/objects"
_ROOM_SECONDS = 60.0


@dataclass(frozen=True)
class Verdict:
    """`words`: what stopped the attempt, or what it reached."""

    name: str
    goal: str
    has_escaped: bool
    words: str


def _sealed(spec: SandboxSpec, argv: Sequence[str], stdin: bytes) -> SealedResult:
    return run_sealed(spec, argv, stdin=stdin, timeout_seconds=_ROOM_SECONDS)


def probe_seal(run: Run = _sealed, *, gateway_socket: str | None = None, dead_token: str = "") -> list[Verdict]:
    """Make every attempt, in one sandbox; a few seconds in all.

    An attempt that left no verdict counts as an escape: nobody knows what became of it. With `gateway_socket`, a
    running gateway is asked too, with `dead_token` or one that never was. Raises SandboxUnavailable.
    """
    with tempfile.TemporaryDirectory(prefix="paid-seal-") as name, _targets(Path(name)) as target:
        spec = SandboxSpec(
            workspace=f"{name}/workspace",
            gateway_socket=gateway_socket,
            read_only=(ReadOnlyBind(f"{name}/objects", OBJECTS),),
        )
        if gateway_socket is not None:
            target |= {"unknown_token": dead_token or secrets.token_urlsafe(32)}
        source = Path(attempts.__file__).read_text(encoding="utf-8")
        result = run(spec, ["python3", "-I", "-c", source], json.dumps(target).encode())
    told = dict(_verdicts(result.stdout))
    made = [attempt for attempt in ATTEMPTS if gateway_socket is not None or attempt.name != GATEWAY_ATTEMPT]
    lost = f"left no verdict: {result.stderr.decode(errors='replace').strip()[-300:] or 'it said nothing'}"
    return [told.get(attempt.name) or Verdict(attempt.name, attempt.goal, True, lost) for attempt in made]


def _verdicts(output: bytes) -> Iterator[tuple[str, Verdict]]:
    goals = {attempt.name: attempt.goal for attempt in ATTEMPTS}
    for line in output.splitlines():
        with contextlib.suppress(ValueError, KeyError):
            told = json.loads(line)
            yield told["name"], Verdict(told["name"], goals[told["name"]], told["escaped"], told["words"])


@contextlib.contextmanager
def _targets(root: Path) -> Iterator[dict[str, object]]:
    """A server, two sockets, a process and files, all of the host and all reachable from outside of a sandbox."""
    for name in ("workspace", "objects", "runs"):
        (root / name).mkdir()
    secret = root / "runs" / "spool.ndjson"
    secret.write_text("of another run")
    (root / "workspace" / "link").symlink_to(secret)
    mark = f"paid-seal-{secrets.token_hex(8)}"
    with (
        socket.create_server(("127.0.0.1", 0)) as server,
        _listening(str(root / "host.sock")),
        _listening(f"\0{mark}"),
        _sleeping(mark) as process_id,
    ):
        yield asdict(
            Target(
                tcp_port=server.getsockname()[1],
                socket_path=str(root / "host.sock"),
                socket_name=mark,
                process_id=process_id,
                process_name=mark,
                secret_path=str(secret),
                link="/workspace/link",
                objects=OBJECTS,
            )
        )


@contextlib.contextmanager
def _listening(address: str) -> Iterator[None]:
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(address)
        server.listen()
        yield


@contextlib.contextmanager
def _sleeping(name: str) -> Iterator[int]:
    """A process whose command line is `name`."""
    with subprocess.Popen([name, "600"], executable="/bin/sleep", env={}, cwd=os.sep) as process:
        try:
            yield process.pid
        finally:
            process.kill()
