"""No probe escapes; and each important one does as soon as what holds it is taken away: none of them is empty."""

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import pytest

from agent_runs.sandbox import SandboxSpec, SandboxUnavailable, SealedResult, bubblewrap_arguments
from agent_runs.sandbox.arguments import base_environment
from agent_runs.sandbox.binaries import bubblewrap_program
from agent_runs.sandbox.process import in_memory
from agent_runs.sandbox.seccomp import filter_program
from agent_runs.seal import ATTEMPTS, TRAPS, probe_seal, spring_all
from agent_runs.seal.attempts import GATEWAY_ATTEMPT
from agent_runs.seal.left_behind import baited

Arguments = list[str]
Weaken = Callable[[Arguments], Arguments]


def without(*taken: str) -> Weaken:
    return lambda arguments: [argument for argument in arguments if argument not in taken]


def replaced(old: Sequence[str], new: Sequence[str]) -> Weaken:
    """The first place where `old` stands in a row."""

    def weaken(arguments: Arguments) -> Arguments:
        (place, *_) = [
            at for at in range(len(arguments)) if arguments[at : at + len(old)] == list(old)
        ]  # fails the test when the sandbox no longer says it that way
        return [*arguments[:place], *new, *arguments[place + len(old) :]]

    return weaken


def with_host_root(arguments: Arguments) -> Arguments:
    """`/` bound read-only, as the simplest sandbox would have it; /proc and /dev of its own."""
    kept = arguments[: arguments.index("--ro-bind")]
    return [*kept, "--ro-bind", "/", "/", "--proc", "/proc", "--dev", "/dev"]


def unchanged(arguments: Arguments) -> Arguments:
    return arguments


def without_seals_of_proc(arguments: Arguments) -> Arguments:
    """A fresh /proc without what is laid over it."""
    start = arguments.index("/proc", arguments.index("--proc")) + 1
    return [*arguments[:start], *arguments[arguments.index("--dev") :]]


PROBE_SECONDS = 300


def weakened(weaken: Weaken, *, is_filtered: bool = True, environment: dict[str, str] | None = None) -> list[str]:
    """Names of the attempts that escape from a sandbox made with fewer protections, by bubblewrap alone."""

    def run(spec: SandboxSpec, argv: Sequence[str], stdin: bytes) -> SealedResult:
        arguments = weaken(bubblewrap_arguments(spec))
        for name, value in base_environment().items():
            arguments += ["--setenv", name, value]
        handed: tuple[int, ...] = ()
        if is_filtered:
            handed = (in_memory("seccomp", filter_program()),)
            arguments += ["--seccomp", str(handed[0])]
        command = [bubblewrap_program(), *arguments, "--", *argv]
        done = subprocess.run(
            command,
            input=stdin,
            capture_output=True,
            check=False,
            env=environment or {},
            pass_fds=handed,
            timeout=PROBE_SECONDS,
        )
        for descriptor in handed:
            os.close(descriptor)
        assert done.returncode == 0, done.stderr
        return SealedResult(done.returncode, done.stdout, done.stderr)

    return [verdict.name for verdict in probe_seal(run) if verdict.has_escaped]


def unsealed(_: SandboxSpec, argv: Sequence[str], stdin: bytes) -> SealedResult:
    command = [sys.executable, *argv[1:]]
    done = subprocess.run(command, input=stdin, capture_output=True, check=True, timeout=PROBE_SECONDS)
    return SealedResult(0, done.stdout, done.stderr)


# Only start_sealed sets the limits: bubblewrap alone has none.
UNLIMITED = {"file-size", "process-count", "core-dump"}


def test_there_are_at_least_twenty_probes_with_names_of_their_own():
    names = [*(probe.name for probe in ATTEMPTS), *(trap.name for trap in TRAPS)]
    assert len(names) == len(set(names)) >= 20


def test_no_attempt_escapes_from_the_sandbox():
    verdicts = probe_seal()
    assert [verdict for verdict in verdicts if verdict.has_escaped] == []
    assert [verdict.name for verdict in verdicts] == [
        attempt.name for attempt in ATTEMPTS if attempt.name != GATEWAY_ATTEMPT
    ]


def test_nothing_that_an_agent_left_behind_runs_on_the_host():
    verdicts = spring_all()
    assert [verdict for verdict in verdicts if verdict.has_escaped] == []
    assert sorted(verdict.name for verdict in verdicts) == sorted(trap.name for trap in TRAPS)


@pytest.mark.parametrize("trap", TRAPS, ids=lambda trap: trap.name)
def test_git_as_a_person_runs_it_springs_every_trap(trap):
    with baited(trap) as bait:
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": "/nonexistent",
            "GIT_ALTERNATE_OBJECT_DIRECTORIES": f"{bait.workspace.cache_dir}/objects",
        }
        for command in ("add --all", "diff HEAD", "status", "commit --quiet --message x"):
            argv = ["git", "-C", bait.workspace.path, *command.split()]
            subprocess.run(argv, capture_output=True, check=False, env=environment)
        assert bait.sprung[trap.name].exists()


def test_an_attempt_without_a_verdict_counts_as_an_escape():
    verdicts = probe_seal(lambda _spec, _argv, _stdin: SealedResult(1, b"not JSON\n", b"python3: not found"))
    assert {(verdict.has_escaped, verdict.words) for verdict in verdicts} == {
        (True, "left no verdict: python3: not found")
    }


def test_a_sandbox_that_cannot_be_made_is_no_verdict():
    def run(_spec: SandboxSpec, _argv: Sequence[str], _stdin: bytes) -> SealedResult:
        raise SandboxUnavailable("bwrap: No permissions to create a new namespace")

    with pytest.raises(SandboxUnavailable):
        probe_seal(run)


@pytest.mark.parametrize(
    ("weaken", "expected"),
    [
        (unchanged, set()),
        (without("--unshare-net"), {"tcp", "network-devices", "abstract-socket"}),
        (with_host_root, {"unix-socket", "other-runs", "host-files", "kernel-switches", "kernel-memory"}),
        (without("--unshare-pid"), {"processes"}),
        (without_seals_of_proc, {"kernel-switches", "kernel-memory"}),
        (replaced(("--dev", "/dev"), ("--dev-bind", "/dev", "/dev")), {"devices"}),
        (replaced(("--remount-ro", "/"), ()), {"system-files"}),
        (replaced(("--cap-drop", "ALL"), ("--cap-add", "ALL")), {"capabilities", "change-root"}),
    ],
    ids=[
        "as it is, but without limits", "network shared", "root bound", "processes shared", "proc as it comes",
        "devices of the host", "root writable", "capabilities kept",
    ],
)  # fmt: skip
@pytest.mark.skipif(os.geteuid() != 0, reason="as an ordinary user, permissions of files hold some of these too")
def test_a_protection_that_is_taken_away_is_noticed(weaken: Weaken, expected: set[str]):
    escaped = set(weakened(weaken))
    assert expected | UNLIMITED <= escaped
    # What another protection holds still holds.
    assert not escaped & {"vsock", "user-namespace", "terminal", "become-root", "own-environment"}


def test_without_the_filter_the_hypervisor_and_the_system_calls_are_open():
    assert {"vsock", "system-calls"} <= set(weakened(unchanged, is_filtered=False))


def test_an_environment_that_is_inherited_is_noticed():
    found = weakened(unchanged, environment={"DATABASE_OWNER_URL": "postgresql://a-secret-address"})
    assert {"workers-environment", "own-environment"} <= set(found)


def test_on_the_bare_host_everything_is_reached():
    escaped = {verdict.name for verdict in probe_seal(unsealed) if verdict.has_escaped}
    assert {
        "tcp", "unix-socket", "abstract-socket", "processes", "signals", "other-runs", "capabilities", "own-environment"
    } <= escaped  # fmt: skip
