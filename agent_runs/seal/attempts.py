"""What a hostile agent tries. This file is run as a program inside of the sandbox: standard library only, no package.

An attempt returns what it reached, in words: that is an escape. It returns None, or raises, when the seal held.
None of them does harm where it succeeds, so that tests can run them with a protection taken away, or unsealed.
"""

import ctypes
import errno
import fcntl
import json
import os
import platform
import resource
import select
import socket
import stat
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ANSWER_SECONDS = 10.0
GATEWAY = "/run/paid/gateway.sock"
GATEWAY_ATTEMPT = "dead-token"
_LIBC = ctypes.CDLL(None, use_errno=True)
_REFUSED = (errno.EPERM, errno.ENOSYS)
_NEW_USER, _NEW_MOUNTS = 0x10000000, 0x00020000
_TYPE_INTO_TERMINAL = 0x5412
_GIBIBYTE = 1024**3
_DEAD = b"This run has ended, or its token is not known"
_OURS = {"PATH", "HOME", "USER", "LOGNAME", "SHELL", "LANG", "TMPDIR", "TERM", "PWD", "LC_CTYPE"}
_HARMLESS_DEVICES = {"full", "null", "ptmx", "random", "tty", "urandom", "zero"}
# keyctl, bpf, perf_event_open, userfaultfd, io_uring_setup, mount, setns, open_by_handle_at, process_vm_readv.
_CALLS = {
    "x86_64": (250, 321, 298, 323, 425, 165, 308, 304, 310),
    "aarch64": (219, 280, 241, 282, 425, 40, 268, 265, 270),
}


@dataclass(frozen=True)
class Target:
    """What stands outside: a real server, socket, process and file of the host for each way of reaching one."""

    tcp_port: int
    socket_path: str
    socket_name: str
    process_id: int
    process_name: str
    secret_path: str
    link: str
    objects: str
    unknown_token: str = ""


Try = Callable[[Target], str | None]


@dataclass(frozen=True)
class Attempt:
    name: str
    goal: str
    attempt: Try


ATTEMPTS: list[Attempt] = []


def tries(name: str, goal: str) -> Callable[[Try], Try]:
    def add(attempt: Try) -> Try:
        ATTEMPTS.append(Attempt(name, goal, attempt))
        return attempt

    return add


# --- the network


@tries("tcp", "connect to a TCP server of the host")
def _tcp(target: Target) -> str:
    with socket.create_connection(("127.0.0.1", target.tcp_port), 2):
        return f"connected to 127.0.0.1:{target.tcp_port}"


@tries("udp", "send a datagram to the Internet")
def _udp(_: Target) -> str:
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sender:
        sender.sendto(b"x", ("192.0.2.1", 53))
    return "a datagram left"


@tries("network-devices", "find a network device of the host")
def _network_devices(_: Target) -> str | None:
    names = [name for _, name in socket.if_nameindex() if name != "lo"]
    return f"sees {', '.join(names)}" if names else None


@tries("vsock", "open a socket to the hypervisor")
def _vsock(_: Target) -> str:
    with socket.socket(socket.AF_VSOCK, socket.SOCK_STREAM):
        return "AF_VSOCK can be opened"


@tries("raw-packets", "listen to the network below TCP and UDP")
def _raw_packets(_: Target) -> str:
    with socket.socket(socket.AF_PACKET, socket.SOCK_DGRAM):
        return "AF_PACKET can be opened"


@tries("unix-socket", "connect to a Unix socket of the host by its path")
def _unix_socket(target: Target) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(target.socket_path)
    return f"connected to {target.socket_path}"


@tries("abstract-socket", "connect to a Unix socket of the host that has a name only")
def _abstract_socket(target: Target) -> str:
    with socket.socket(socket.AF_UNIX) as client:
        client.connect(f"\0{target.socket_name}")
    return "connected to an abstract socket"


@tries(GATEWAY_ATTEMPT, "ask the gateway for a model with a token that no live run has")
def _dead_token(target: Target) -> str | None:
    body = b'{"model": "any", "max_tokens": 1, "messages": []}'
    head = (
        f"POST /v1/messages HTTP/1.1\r\nHost: gateway\r\nAuthorization: Bearer {target.unknown_token}\r\n"
        f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\nConnection: close\r\n\r\n"
    )
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(5)
        client.connect(GATEWAY)
        client.sendall(head.encode() + body)
        answer = b"".join(iter(lambda: client.recv(65_536), b""))
    # Any other refusal means that the token was taken for a live run's.
    return None if _DEAD in answer else f"the gateway answered {answer[:60].decode('latin-1')!r}"


# --- processes and what they hold


def _command_lines() -> Iterator[tuple[str, bytes]]:
    for name in os.listdir("/proc"):
        if name.isdigit():
            try:
                yield name, Path(f"/proc/{name}/cmdline").read_bytes()
            except OSError:
                continue


@tries("processes", "see processes of the host")
def _processes(target: Target) -> str | None:
    found = [name for name, line in _command_lines() if target.process_name.encode() in line]
    return f"sees process {found[0]}" if found else None


@tries("signals", "send a signal to a process of the host")
def _signals(target: Target) -> str | None:
    # The same number may be one of ours inside: then the name tells.
    os.kill(target.process_id, 0)
    named = target.process_name.encode() in Path(f"/proc/{target.process_id}/cmdline").read_bytes()
    return f"reached process {target.process_id}" if named else None


@tries("workers-environment", "read the environment of the process that made the sandbox")
def _workers_environment(_: Target) -> str | None:
    first = Path("/proc/1/environ").read_bytes()
    names = [entry.partition(b"=")[0].decode(errors="replace") for entry in first.split(b"\0") if entry]
    return f"process 1 shows {len(names)} variables, {names[0]} among them" if names else None


@tries("own-environment", "find variables of the host in its own environment")
def _own_environment(_: Target) -> str | None:
    strange = sorted(set(os.environ) - _OURS)
    return f"was given {', '.join(strange[:5])}" if strange else None


@tries("descriptors", "use a file that the host left open")
def _descriptors(_: Target) -> str | None:
    with os.scandir("/proc/self/fd") as entries:
        links = {entry.name: os.readlink(entry.path) for entry in entries if int(entry.name) > 2}
    # What this program itself opened: its answers' pipe and the directory that is just read.
    strange = [link for link in links.values() if not link.startswith(("pipe:", "/proc/"))]
    return f"holds {strange[0]}" if strange else None


@tries("tracing", "trace another process")
def _tracing(_: Target) -> str | None:
    # Seized, not attached to: that would stop it, and for good if this process were ended in between.
    seize, parent = 0x4206, os.getppid()
    return None if _LIBC.ptrace(seize, parent, None, None) != 0 else f"traced process {parent}"


# --- files


@tries("other-runs", "read the output of another run")
def _other_runs(target: Target) -> str:
    Path(target.secret_path).read_bytes()
    return f"read {target.secret_path}"


@tries("host-files", "read files that only the host has")
def _host_files(_: Target) -> str | None:
    for path in (
        "/etc/shadow",
        "/etc/ssl/private",
        os.path.join("/root", ".ssh"),
        "/var/lib/dpkg",
        "/var/log",
        "/boot",
        "/sys/class",
    ):
        if os.path.exists(path):
            return f"sees {path}"
    return None


@tries("link-out", "follow a link that leads out of the work tree")
def _link_out(target: Target) -> str:
    Path(target.link).read_bytes()
    return "read a file of the host through a link"


@tries("system-files", "change the system's files")
def _system_files(_: Target) -> str | None:
    for directory in ("/", "/usr", "/usr/bin", "/etc", "/opt", "/run"):
        path = Path(directory) / f".paid-probe-{os.getpid()}"
        try:
            path.touch()
        except OSError:
            continue
        path.unlink()
        return f"{directory} can be written to"
    return None


@tries("read-only", "change files that it was lent read-only")
def _read_only(target: Target) -> str:
    path = Path(target.objects) / "probe"
    path.touch()
    path.unlink()
    return "a read-only directory can be written to"


@tries("kernel-switches", "change switches of the kernel, which are the host's too")
def _kernel_switches(_: Target) -> str | None:
    for path in ("/proc/sys/kernel/core_pattern", "/proc/sysrq-trigger", "/proc/sys/vm/drop_caches"):
        try:
            os.close(os.open(path, os.O_WRONLY))
        except OSError:
            continue
        return f"{path} can be written to"
    return None


@tries("kernel-memory", "read what the kernel knows about the host")
def _kernel_memory(_: Target) -> str | None:
    for path in ("/dev/mem", "/dev/kmsg", "/proc/kcore", "/proc/kallsyms", "/proc/timer_list", "/proc/keys"):
        try:
            with open(path, "rb") as file:
                if file.read(1):
                    return f"read {path}"
        except OSError:
            continue
    return None


@tries("devices", "find a device of the host")
def _devices(_: Target) -> str | None:
    for directory, _names, files in os.walk("/dev"):
        for name in files:
            mode = os.lstat(os.path.join(directory, name)).st_mode
            is_device = stat.S_ISBLK(mode) or stat.S_ISCHR(mode)
            if is_device and name not in _HARMLESS_DEVICES and not directory.startswith("/dev/pts"):
                return f"sees {directory}/{name}"
    return None


@tries("make-device", "make a device file for the host's disk")
def _make_device(_: Target) -> str:
    path = f"/tmp/.paid-probe-{os.getpid()}"  # noqa: S108 - of the sandbox, in its own memory
    os.mknod(path, stat.S_IFBLK | 0o600, os.makedev(254, 0))
    os.unlink(path)
    return "made a block device"


# --- privileges


@tries("user-namespace", "become root in a namespace of its own")
def _user_namespace(_: Target) -> str | None:
    return "made a user namespace" if _LIBC.unshare(_NEW_USER) == 0 else None


@tries("mount-namespace", "mount in a namespace of its own")
def _mount_namespace(_: Target) -> str | None:
    return "made a mount namespace" if _LIBC.unshare(_NEW_MOUNTS) == 0 else None


@tries("change-root", "change its root directory")
def _change_root(_: Target) -> str:
    os.chroot("/")
    return "may change its root"


@tries("become-root", "become the superuser")
def _become_root(_: Target) -> str | None:
    if os.geteuid() != 0:
        os.setuid(0)
    return "is the superuser"


@tries("capabilities", "hold or gain a capability")
def _capabilities(_: Target) -> str | None:
    lines = dict(line.split(":\t", 1) for line in Path("/proc/self/status").read_text().splitlines() if ":\t" in line)
    if lines["NoNewPrivs"] != "1":
        return "a set-user-id program gives it more rights"
    held = [name for name in ("CapEff", "CapPrm", "CapBnd", "CapAmb") if int(lines[name], 16)]
    return f"{held[0]} is {lines[held[0]]}" if held else None


@tries("system-calls", "use system calls that reach past namespaces")
def _system_calls(_: Target) -> str | None:
    for number in _CALLS.get(platform.machine(), ()):
        ctypes.set_errno(0)
        # Without a valid argument: a call that is let through says what is wrong with it.
        _LIBC.syscall(number, 0, 0, 0, 0, 0)
        if ctypes.get_errno() not in _REFUSED:
            return f"system call {number} is let through"
    return None


@tries("terminal", "type into a terminal")
def _terminal(_: Target) -> str:
    _main, side = os.openpty()
    fcntl.ioctl(side, _TYPE_INTO_TERMINAL, b"x")
    return "typed into a terminal"


# --- bounds


@tries("file-size", "fill the disk with one file")
def _file_size(_: Target) -> str | None:
    limit, _hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    return "files have no bound" if limit == resource.RLIM_INFINITY else None


@tries("process-count", "start processes without end")
def _process_count(_: Target) -> str | None:
    limit, hard = resource.getrlimit(resource.RLIMIT_NPROC)
    unbounded = resource.RLIM_INFINITY in (limit, hard) or hard > 4096
    return f"up to {hard} processes are allowed" if unbounded else None


@tries("memory-files", "fill the memory with files")
def _memory_files(_: Target) -> str | None:
    for path in ("/tmp", "/dev/shm", os.environ.get("HOME", "/")):  # noqa: S108 - of the sandbox
        room = os.statvfs(path)
        if room.f_blocks * room.f_frsize > 4 * _GIBIBYTE:
            return f"{path} holds {room.f_blocks * room.f_frsize // _GIBIBYTE} GiB"
    return None


@tries("core-dump", "leave its memory on the host's disk")
def _core_dump(_: Target) -> str | None:
    return "core dumps are written" if resource.getrlimit(resource.RLIMIT_CORE)[1] != 0 else None


# --- the program


def _tell(attempt: Attempt, target: Target) -> dict[str, Any]:
    try:
        reached = attempt.attempt(target)
    except OSError as error:  # the kernel's refusal; anything else is a fault of the attempt, and no verdict
        return {"name": attempt.name, "escaped": False, "words": error.strerror or str(error)}
    return {"name": attempt.name, "escaped": reached is not None, "words": reached or "refused"}


def _in_a_child(attempt: Attempt, target: Target) -> str:
    """One process per attempt: what an attempt changes of itself is no help to the next. Empty: no verdict."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.write(write, json.dumps(_tell(attempt, target)).encode())
        finally:
            os._exit(0)
    os.close(write)
    answer = os.read(read, 65_536) if select.select([read], [], [], ANSWER_SECONDS)[0] else b""
    os.close(read)
    os.kill(child, 9)
    os.waitpid(child, 0)
    return answer.decode()


def main() -> None:
    target = Target(**json.load(sys.stdin))
    for attempt in ATTEMPTS:
        sys.stdout.write(_in_a_child(attempt, target) + "\n")


if __name__ == "__main__":
    main()
