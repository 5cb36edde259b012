"""The arguments of bubblewrap: a minimal root, no network, nothing of the host but what is listed here."""

import os
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from agent_runs.contracts import ReadOnlyBind
from agent_runs.sandbox.binaries import python_binds, search_path

AGENT_ID = "1000"
WORKSPACE = "/workspace"
HOME = "/home/agent"
TEMPORARY = "/tmp"  # noqa: S108 - of the sandbox, in its own memory
_SHARED_MEMORY = "/dev/shm"  # noqa: S108 - of the sandbox, in its own memory
GATEWAY_SOCKET = "/run/paid/gateway.sock"
_GATEWAY_DIRECTORY = "/run/paid/gateway"
_SYNTHESISED = Path(__file__).parent / "etc"
_MEBIBYTE = 1024 * 1024

# Files of /etc that tools cannot do without and that say nothing about the host. Everything else stays out:
# passwd, group, hosts and nsswitch.conf are our own.
_ETC = (
    "ld.so.cache", "ld.so.conf", "ld.so.conf.d", "alternatives", "ssl/certs", "ssl/openssl.cnf", "ca-certificates.conf",
    "localtime", "mime.types", "protocols", "services", "os-release", "debian_version", "python3", "python3.11",
    "python3.12", "python3.13", "java", "perl",
)  # fmt: skip


@dataclass(frozen=True)
class SandboxSpec:
    """What one sandbox may see. Paths on the left are the host's; nothing else of the host is visible.

    `writable` holds pairs (source, target). The root itself is read-only; /tmp and the home are in memory, bounded.
    """

    workspace: str | None = None
    workspace_writable: bool = True
    gateway_socket: str | None = None
    read_only: tuple[ReadOnlyBind, ...] = ()
    writable: tuple[tuple[str, str], ...] = ()
    directory: str = WORKSPACE
    temporary_mebibytes: int = 2048
    home_mebibytes: int = 1024


def _namespaces() -> Iterator[str]:
    yield from ("--unshare-user", "--disable-userns", "--unshare-pid", "--unshare-net", "--unshare-ipc")
    yield from ("--unshare-uts", "--unshare-cgroup-try", "--uid", AGENT_ID, "--gid", AGENT_ID)
    # The sandbox must not outlive its supervisor; a terminal must not be typed into.
    yield from ("--die-with-parent", "--new-session", "--cap-drop", "ALL", "--hostname", "sandbox")


def _system() -> Iterator[str]:
    yield from ("--ro-bind", "/usr", "/usr")
    for name in ("bin", "sbin", "lib", "lib32", "lib64", "libx32"):
        path = f"/{name}"
        if os.path.islink(path):
            yield from ("--symlink", os.readlink(path), path)
        elif os.path.isdir(path):
            yield from ("--ro-bind", path, path)
    for name in _ETC:
        yield from ("--ro-bind-try", f"/etc/{name}", f"/etc/{name}")
    for path_of_ours in sorted(_SYNTHESISED.iterdir()):
        yield from ("--ro-bind", str(path_of_ours), f"/etc/{path_of_ours.name}")
    for bind in python_binds():
        yield from ("--ro-bind", bind.source, bind.target)


def _kernel_switches() -> Iterator[str]:
    """Close what a fresh /proc leaves open: the kernel lets its root user write to switches of the whole host, with
    or without capabilities, and the agent of a worker that runs as root is that user under another number.

    (/proc/sys/kernel/core_pattern alone would run any program outside.) The lists are those of the OCI runtimes.
    """
    for name in ("sys", "sysrq-trigger", "irq", "bus", "fs", "mtrr", "pressure"):
        yield from ("--ro-bind-try", f"/proc/{name}", f"/proc/{name}")
    for name in ("acpi", "asound", "interrupts", "kcore", "keys", "latency_stats", "scsi", "sched_debug"):
        yield from _hidden(f"/proc/{name}")
    for name in ("timer_list", "timer_stats", "kmsg", "kallsyms", "slabinfo", "pagetypeinfo", "vmallocinfo"):
        yield from _hidden(f"/proc/{name}")


def _hidden(path: str) -> Iterator[str]:
    if os.path.isdir(path):
        yield from ("--size", "4096", "--tmpfs", path, "--remount-ro", path)
    elif os.path.exists(path):
        # A device on a mount without devices can be neither read nor written.
        yield from ("--ro-bind", "/dev/null", path)


def _own_files(spec: SandboxSpec) -> Iterator[str]:
    yield from ("--proc", "/proc", *_kernel_switches(), "--dev", "/dev")
    yield from ("--perms", "1777", "--size", str(256 * _MEBIBYTE), "--tmpfs", _SHARED_MEMORY)
    yield from ("--perms", "1777", "--size", str(spec.temporary_mebibytes * _MEBIBYTE), "--tmpfs", TEMPORARY)
    yield from ("--perms", "0700", "--size", str(spec.home_mebibytes * _MEBIBYTE), "--tmpfs", HOME)
    yield from ("--dir", "/run/paid", "--dir", "/var", "--symlink", "/run", "/var/run")


def _gateway(socket_path: str) -> Iterator[str]:
    """Bind the directory when the socket has one of its own, so that a restarted gateway is found again.

    A bound socket file stays the old inode for ever. A directory that holds anything but the socket and its lock is
    never shown. The lock is covered: a lock needs no right to write, and whoever held it would keep the gateway from
    starting again.
    """
    path = Path(socket_path)
    lock = path.with_name(f"{path.name}.lock")
    others = [entry for entry in path.parent.iterdir() if entry.name not in {path.name, lock.name}]
    if not others:
        yield from ("--ro-bind", str(path.parent), _GATEWAY_DIRECTORY)
        if lock.exists():
            yield from ("--ro-bind", "/dev/null", f"{_GATEWAY_DIRECTORY}/{lock.name}")
        yield from ("--symlink", f"{_GATEWAY_DIRECTORY}/{path.name}", GATEWAY_SOCKET)
    else:
        yield from ("--ro-bind", socket_path, GATEWAY_SOCKET)


def bubblewrap_arguments(spec: SandboxSpec, data: Mapping[str, int] | None = None) -> list[str]:
    """Everything but the command and the environment. `data` maps a path inside to the descriptor it is read from."""
    arguments = [*_namespaces(), *_system(), *_own_files(spec)]
    if spec.gateway_socket is not None:
        arguments += _gateway(spec.gateway_socket)
    if spec.workspace is not None:
        arguments += ("--bind" if spec.workspace_writable else "--ro-bind", spec.workspace, WORKSPACE)
    for bind in spec.read_only:
        arguments += ("--ro-bind", bind.source, bind.target)
    for source, target in spec.writable:
        arguments += ("--bind", source, target)
    for target, descriptor in (data or {}).items():
        arguments += ("--perms", "0444", "--ro-bind-data", str(descriptor), target)
    return [*arguments, "--remount-ro", "/", "--chdir", spec.directory]


def base_environment() -> dict[str, str]:
    """What every program in the sandbox starts with; nothing is inherited from the host."""
    return {
        "PATH": search_path(),
        "HOME": HOME,
        "USER": "agent",
        "LOGNAME": "agent",
        "SHELL": "/bin/sh",
        "LANG": "C.UTF-8",
        "TMPDIR": TEMPORARY,
        "TERM": "dumb",
    }
