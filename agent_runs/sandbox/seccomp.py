"""A small system-call filter in classic BPF for x86_64 and aarch64.

Namespaces do not cover everything: AF_VSOCK reaches the hypervisor through an empty network namespace, TIOCSTI
types into a terminal, and keyrings and tracing cross what they should not. The filter answers those with an
error; everything else is left to the namespaces, so that compilers and test suites work as they do outside.
"""

import errno
import platform
import struct
from dataclasses import dataclass

# Classic BPF, <linux/filter.h> and <linux/seccomp.h>.
_LOAD_WORD = 0x20
_JUMP_EQUAL = 0x15
_JUMP_GREATER_OR_EQUAL = 0x35
_JUMP_ANY_BIT = 0x45
_RETURN = 0x06
_ALLOW = 0x7FFF0000
_ERRNO = 0x00050000
_KILL_PROCESS = 0x80000000
# struct seccomp_data: nr, arch, instruction pointer, then six 64-bit arguments (both machines are little endian).
_OFFSET_NUMBER = 0
_OFFSET_ARCHITECTURE = 4
_OFFSET_ARGUMENT = (16, 24)
_X32_SYSCALL_BIT = 0x40000000

# Address families that an agent's tools use; AF_NETLINK is how libc lists interfaces.
_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK = 1, 2, 10, 16
_TERMINAL_INJECTION = (0x5412, 0x541C)  # TIOCSTI, TIOCLINUX
_CLONE_NEWUSER = 0x10000000


@dataclass(frozen=True)
class _Machine:
    audit_architecture: int
    has_x32: bool
    socket: int
    ioctl: int
    unshare: int
    clone: int
    clone3: int
    denied: tuple[int, ...]


# Denied: add_key, request_key, keyctl, ptrace, process_vm_readv, process_vm_writev, bpf, perf_event_open,
# userfaultfd, io_uring_setup, io_uring_enter, io_uring_register, mount, umount2, pivot_root, setns, kexec_load,
# init_module, finit_module, delete_module, move_mount, open_tree, fsopen, fsmount, mount_setattr, open_by_handle_at.
# io_uring opens sockets without the socket system call, so it would go round the rule below.
_MACHINES = {
    "x86_64": _Machine(
        audit_architecture=0xC000003E,
        has_x32=True,
        socket=41,
        ioctl=16,
        unshare=272,
        clone=56,
        clone3=435,
        denied=(
            248, 249, 250, 101, 310, 311, 321, 298, 323, 425, 426, 427, 165, 166, 155, 308, 246,
            175, 313, 176, 429, 428, 430, 432, 442, 304,
        ),
    ),
    "aarch64": _Machine(
        audit_architecture=0xC00000B7,
        has_x32=False,
        socket=198,
        ioctl=29,
        unshare=97,
        clone=220,
        clone3=435,
        denied=(
            217, 218, 219, 117, 270, 271, 280, 241, 282, 425, 426, 427, 40, 39, 41, 268, 104,
            105, 273, 106, 429, 428, 430, 432, 442, 265,
        ),
    ),
}  # fmt: skip


def _statement(code: int, value: int, when_true: int = 0, when_false: int = 0) -> bytes:
    return struct.pack("<HBBI", code, when_true, when_false, value)


def _refuse(number: int) -> bytes:
    return _statement(_RETURN, _ERRNO | number)


def _deny(numbers: tuple[int, ...]) -> bytes:
    """Each refused call is one comparison and its own answer: no jump is ever longer than one statement."""
    program = b""
    for number in numbers:
        program += _statement(_JUMP_EQUAL, number, 0, 1) + _refuse(errno.EPERM)
    return program


def _only_families(socket: int) -> bytes:
    """`socket(family, …)` answers EAFNOSUPPORT for every family not listed, AF_VSOCK first of all."""
    families = (_AF_UNIX, _AF_INET, _AF_INET6, _AF_NETLINK)
    body = _statement(_LOAD_WORD, _OFFSET_ARGUMENT[0])
    for position, family in enumerate(families):
        body += _statement(_JUMP_EQUAL, family, len(families) - position, 0)
    body += _refuse(errno.EAFNOSUPPORT) + _statement(_LOAD_WORD, _OFFSET_NUMBER)
    return _statement(_JUMP_EQUAL, socket, 0, len(body) // 8) + body


def _no_terminal_injection(ioctl: int) -> bytes:
    body = _statement(_LOAD_WORD, _OFFSET_ARGUMENT[1])
    for request in _TERMINAL_INJECTION:
        body += _statement(_JUMP_EQUAL, request, 0, 1) + _refuse(errno.EPERM)
    body += _statement(_LOAD_WORD, _OFFSET_NUMBER)
    return _statement(_JUMP_EQUAL, ioctl, 0, len(body) // 8) + body


def _no_user_namespace(call: int) -> bytes:
    body = _statement(_LOAD_WORD, _OFFSET_ARGUMENT[0])
    body += _statement(_JUMP_ANY_BIT, _CLONE_NEWUSER, 0, 1) + _refuse(errno.EPERM)
    body += _statement(_LOAD_WORD, _OFFSET_NUMBER)
    return _statement(_JUMP_EQUAL, call, 0, len(body) // 8) + body


def filter_program(machine: str | None = None) -> bytes:
    """The compiled filter for `bwrap --seccomp FD`. Raises KeyError on a machine that it does not know."""
    target = _MACHINES[machine or platform.machine()]
    program = _statement(_LOAD_WORD, _OFFSET_ARCHITECTURE)
    # A 32-bit system call has other numbers: refuse the whole table rather than filter it a second time.
    program += _statement(_JUMP_EQUAL, target.audit_architecture, 1, 0) + _statement(_RETURN, _KILL_PROCESS)
    program += _statement(_LOAD_WORD, _OFFSET_NUMBER)
    if target.has_x32:
        program += _statement(_JUMP_GREATER_OR_EQUAL, _X32_SYSCALL_BIT, 0, 1) + _refuse(errno.ENOSYS)
    program += _deny(target.denied)
    # clone3 hides its flags behind a pointer, which BPF cannot follow: with ENOSYS libc falls back to clone.
    program += _statement(_JUMP_EQUAL, target.clone3, 0, 1) + _refuse(errno.ENOSYS)
    program += _no_user_namespace(target.clone) + _no_user_namespace(target.unshare)
    program += _only_families(target.socket) + _no_terminal_injection(target.ioctl)
    return program + _statement(_RETURN, _ALLOW)
