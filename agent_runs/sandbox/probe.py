"""Can this machine make a sandbox? Answered by making one."""

import os
import platform
import time
from dataclasses import dataclass
from pathlib import Path

from agent_runs.sandbox.arguments import SandboxSpec
from agent_runs.sandbox.errors import SandboxUnavailable
from agent_runs.sandbox.process import run_sealed

_SWITCHES = (
    ("/proc/sys/kernel/unprivileged_userns_clone", "0", "sysctl kernel.unprivileged_userns_clone=1"),
    ("/proc/sys/kernel/apparmor_restrict_unprivileged_userns", "1", "an AppArmor profile that allows bwrap `userns`"),
    ("/proc/sys/user/max_user_namespaces", "0", "sysctl user.max_user_namespaces=10000"),
)


@dataclass(frozen=True)
class SandboxProbe:
    """`detail` is a sentence for people: what works, or what is missing and how to mend it."""

    works: bool
    detail: str
    milliseconds: float = 0.0


def _hint() -> str:
    for path, bad_value, remedy in _SWITCHES:
        switch = Path(path)
        if switch.is_file() and switch.read_text().strip() == bad_value:
            return f" The kernel forbids user namespaces to ordinary users: {remedy}."
    if Path("/.dockerenv").exists():
        return " Inside a container: allow user namespaces (seccomp and AppArmor unconfined, not --privileged)."
    return " User namespaces must be allowed for the user that runs Paid."


def probe() -> SandboxProbe:
    if platform.system() != "Linux":
        return SandboxProbe(False, "The sandbox needs Linux: run Paid's workers on a Linux machine or in its image.")
    started = time.perf_counter()
    try:
        result = run_sealed(SandboxSpec(directory="/"), ["/bin/sh", "-c", "id -u"], timeout_seconds=15)
    except (SandboxUnavailable, OSError) as error:
        return SandboxProbe(False, f"The sandbox cannot be made: {error}.{_hint()}")
    except KeyError:
        return SandboxProbe(False, f"No system-call filter for {platform.machine()}: use x86_64 or aarch64.")
    milliseconds = (time.perf_counter() - started) * 1000
    if result.stdout.strip() != b"1000":
        words = result.stderr.decode(errors="replace").strip()
        return SandboxProbe(False, f"The sandbox was made, but nothing ran in it: {words}.{_hint()}")
    advice = " Paid runs as root here: run it as an ordinary user, so that an escape would gain nothing."
    words = f"Agents are sealed by bubblewrap ({milliseconds:.0f} ms)." + (advice if os.geteuid() == 0 else "")
    return SandboxProbe(True, words, milliseconds)
