"""The stack that is broken: servers of the harness, everything else by `manage.py up`, all in a temporary folder."""

import contextlib
import ctypes
import os
import secrets
import shutil
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

from paid.stack import embedded
from tests.faults.processes import Process, children_of, descendants_of, device_of, processes_of

ROOT = Path(__file__).resolve().parents[2]
READY_SECONDS = 120.0
STOP_SECONDS = 60.0
# Slow enough to be met in the middle of an answer.
MODEL_DELAY_SECONDS = 0.04
PROGRAMS = {
    "agents worker": "manage.py temporal_worker --queue agents",
    "control worker": "manage.py temporal_worker --queue control",
    "gateway": "manage.py gateway",
    "web": "uvicorn paid.asgi:application",
}
# Holds a git command of the workers while a file says so: a clone takes too little time to be met by chance.
_GIT = """#!/bin/sh
for word in "$@"; do
  case "$word" in fetch|push)
    if [ -e "{holds}/hold-$word" ]; then
      : > "{holds}/reached-$word"
      while [ -e "{holds}/hold-$word" ]; do sleep 0.05; done
    fi ;;
  esac
done
exec {git} "$@"
"""


# Only the time of day: a step moves no monotonic clock. libfaketime cannot be told so (its clock_nanosleep answers
# EINVAL to Python's absolute sleeps once the monotonic clock is left alone).
_CLOCK = """
#define _GNU_SOURCE
#include <fcntl.h>
#include <stdint.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/syscall.h>
#include <sys/time.h>
#include <time.h>
#include <unistd.h>
static volatile int64_t *step;
__attribute__((constructor)) static void begin(void) {
    const char *path = getenv("PAID_FAULTS_CLOCK");
    int file = path ? open(path, O_RDONLY | O_CLOEXEC) : -1;
    void *found = file < 0 ? MAP_FAILED : mmap(NULL, sizeof *step, PROT_READ, MAP_SHARED, file, 0);
    if (file >= 0) close(file);
    step = found == MAP_FAILED ? NULL : found;
}
int clock_gettime(clockid_t clock, struct timespec *now) {
    int failed = syscall(SYS_clock_gettime, clock, now);
    if (!failed && step && (clock == CLOCK_REALTIME || clock == CLOCK_REALTIME_COARSE)) now->tv_sec += *step;
    return failed;
}
int gettimeofday(struct timeval *restrict now, void *restrict zone) {
    struct timespec at;
    if (clock_gettime(CLOCK_REALTIME, &at)) return -1;
    now->tv_sec = at.tv_sec; now->tv_usec = at.tv_nsec / 1000;
    return 0;
}
time_t time(time_t *now) {
    struct timespec at;
    clock_gettime(CLOCK_REALTIME, &at);
    if (now) *now = at.tv_sec;
    return at.tv_sec;
}
"""
_CLONE_NEWNS = 0x20000
DISK_BYTES = 64 * 1024 * 1024


class HouseError(Exception):
    """The stack under test did not do what the harness needs."""


class House:
    """`up` may be restarted, and so may each server: that is what an operator or a supervisor outside would do."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.state = directory / "state"
        self.holds = directory / "holds"
        self.port = embedded.free_port()
        self._ports = {name: embedded.free_port() for name in ("postgresql", "valkey", "temporal")}
        self._passwords = {name: secrets.token_urlsafe(16) for name in ("super", "owner", "app", "valkey")}
        self.servers: dict[str, embedded.Server] = {}
        self.up: subprocess.Popen[bytes] | None = None
        for path in (self.state, self.holds, directory / "bin", directory / "log"):
            path.mkdir(mode=0o711)
        git = directory / "bin" / "git"
        git.write_text(_GIT.format(holds=self.holds, git=shutil.which("git")))
        git.chmod(0o755)
        self._clock = directory / "clock"
        self.set_clock(0)
        self._library = self._compile_clock()
        self.has_own_disk = self._mount_disk()

    @property
    def runs(self) -> Path:
        return self.state / "runs"

    @property
    def repositories(self) -> Path:
        return self.state / "repositories"

    @property
    def temporal_address(self) -> str:
        return f"127.0.0.1:{self._ports['temporal']}"

    def database_url(self, role: str) -> str:
        return (
            f"postgresql://paid_{role}:{self._passwords[role]}@127.0.0.1:{self._ports['postgresql']}/paid_development"
        )

    def environment(self) -> dict[str, str]:
        """For `up`, and for Django in the harness itself."""
        return {
            "PAID_STATE_DIR": str(self.state),
            "PORT": str(self.port),
            "DATABASE_URL": self.database_url("app"),
            "DATABASE_OWNER_URL": self.database_url("owner"),
            "REDIS_URL": f"redis://:{self._passwords['valkey']}@127.0.0.1:{self._ports['valkey']}/0",
            "TEMPORAL_ADDRESS": self.temporal_address,
            "SCRIPTED_MODEL_DELAY_SECONDS": str(MODEL_DELAY_SECONDS),
            "SCRIPTED_MODEL_GATE": str(self.holds),
        }

    def start(self) -> None:
        for name in ("temporal", "valkey", "postgresql"):
            self.start_server(name)
        for server in self.servers.values():
            server.wait_until_ready()
        passwords = {"PAID_OWNER_PASSWORD": self._passwords["owner"], "PAID_APP_PASSWORD": self._passwords["app"]}
        port, password = self._ports["postgresql"], self._passwords["super"]
        embedded.run_psql(port, password, ["-f", str(ROOT / "init-db.sql")], passwords)
        self.start_up()

    def start_server(self, name: str) -> None:
        """As durable as in earnest: what was committed must survive the kill."""
        data, log, port = self.directory / name, self.directory / "log" / f"{name}.log", self._ports[name]
        if name == "temporal":
            self.servers[name] = embedded.start_temporal(data, log, port=port)
        elif name == "valkey":
            self.servers[name] = embedded.start_valkey(data, log, port=port, password=self._passwords["valkey"])
        else:
            self.servers[name] = embedded.start_postgresql(
                data, log, port=port, superuser_password=self._passwords["super"]
            )

    def start_up(self) -> None:
        kept = {name: value for name, value in os.environ.items() if name in {"HOME", "LANG", "TERM", "TMPDIR"}}
        path = f"{self.directory / 'bin'}{os.pathsep}{os.environ['PATH']}"
        with (self.directory / "log" / "up.log").open("ab") as log:
            self.up = subprocess.Popen(
                [sys.executable, "manage.py", "up"],
                cwd=ROOT,
                env={**kept, "PATH": path, **self.environment(), **self._clock_environment()},
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=log,
                start_new_session=True,
            )
        self.wait_until_healthy()

    def stop_up(self) -> None:
        if self.up is None:
            return
        self.up.send_signal(signal.SIGINT)
        try:
            self.up.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            self.up.kill()
            self.up.wait()
        self.up = None

    def stop(self) -> list[str]:
        """Stop everything; gives what lives on although it must not."""
        for process in [*self.own_processes(self.state), *(descendants_of(self.up.pid) if self.up else [])]:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
        self.stop_up()
        for server in self.servers.values():
            server.process.send_signal(signal.SIGCONT)
            server.stop()
        left = [process.command for process in self.own_processes(self.directory)]
        if self.has_own_disk:
            subprocess.run(["umount", "--lazy", str(self.runs)], check=False)  # or the folder could not be removed
        return left

    def health(self) -> int:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=5) as answer:
                return int(answer.status)
        except urllib.error.HTTPError as error:
            return error.code
        except OSError:
            return 0

    def wait_until_healthy(self, seconds: float = READY_SECONDS) -> float:
        began = time.monotonic()
        while self.health() != 200:
            if self.up is None or self.up.poll() is not None or time.monotonic() - began > seconds:
                raise HouseError(f"not healthy after {seconds:g} s:\n{self.last_words()}")
            time.sleep(0.1)
        return time.monotonic() - began

    def last_words(self) -> str:
        return (self.directory / "log" / "up.log").read_text(errors="replace")[-4000:]

    # --- Victims ------------------------------------------------------------------------------------
    def processes(self, victim: str, run_id: int) -> list[Process]:
        """The victim's processes, the one that all others hang on first."""
        if (server := self.servers.get(victim.lower())) is not None:
            return [Process(server.process.pid, server.name), *children_of(server.process.pid)]
        if victim == "supervisor":
            words, candidates = f"agent_runs.supervisor {self.runs / str(run_id)} ", self.own_processes(self.runs)
        else:
            words, candidates = PROGRAMS[victim], descendants_of(self.up.pid) if self.up else []
        found = [process for process in candidates if words in process.command]
        if not found:
            raise HouseError(f"no process of {victim}")
        return found

    def own_processes(self, directory: Path) -> list[Process]:
        return processes_of(directory, device_of(self.runs) if self.has_own_disk else b"")

    def kill(self, victim: str, run_id: int) -> None:
        """Without a last word. PostgreSQL gets its immediate shutdown, which is a crash to everybody else."""
        process = self.processes(victim, run_id)[0]
        server = self.servers.get(victim.lower())
        os.kill(process.pid, signal.SIGQUIT if victim == "PostgreSQL" else signal.SIGKILL)
        if server is not None:
            server.process.wait(STOP_SECONDS)

    def repair(self, victim: str) -> None:
        """What `up` watches it starts again by itself; the servers are not its own here."""
        server = self.servers.get(victim.lower())
        if server is not None and server.process.poll() is not None:
            self.start_server(victim.lower())
            self.servers[victim.lower()].wait_until_ready()

    # --- Clock and disk -----------------------------------------------------------------------------
    @property
    def has_own_clock(self) -> bool:
        return self._library is not None

    def set_clock(self, step_seconds: int) -> None:
        """All processes of `up` see the time of day so much later, from now on; the servers see the right one."""
        with self._clock.open("r+b" if self._clock.exists() else "wb") as file:
            file.write(step_seconds.to_bytes(8, sys.byteorder, signed=True))

    def _compile_clock(self) -> Path | None:
        compiler = shutil.which("cc")
        if compiler is None:
            return None
        library = self.directory / "clock.so"
        argv = [compiler, "-shared", "-fPIC", "-O2", "-xc", "-", "-o", str(library)]
        done = subprocess.run(argv, input=_CLOCK.encode(), capture_output=True, check=False)
        return library if done.returncode == 0 else None

    def _clock_environment(self) -> dict[str, str]:
        return {"LD_PRELOAD": str(self._library), "PAID_FAULTS_CLOCK": str(self._clock)} if self._library else {}

    def _mount_disk(self) -> bool:
        """A small file system for the runs, which can be filled without harm to the machine. Needs root.

        In a mount namespace of our own: to everybody else on the machine nothing is mounted, and it goes with us.
        """
        self.runs.mkdir(mode=0o700)
        if ctypes.CDLL(None).unshare(_CLONE_NEWNS) != 0:
            return False
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        argv = ["mount", "-t", "tmpfs", "-o", f"size={DISK_BYTES},mode=0700", "tmpfs", str(self.runs)]
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0

    def fill_disk(self) -> None:
        """Not a byte is left: a second write takes what the first, larger one left over."""
        for size in (1024 * 1024, 4096, 1):
            with contextlib.suppress(OSError), (self.runs / "filler").open("ab", buffering=0) as file:
                while True:
                    file.write(bytes(size))

    def empty_disk(self) -> None:
        (self.runs / "filler").unlink(missing_ok=True)

    def starve(self, victim: str, run_id: int, seconds: float) -> None:
        processes = self.processes(victim, run_id)
        for process in processes:
            os.kill(process.pid, signal.SIGSTOP)
        time.sleep(seconds)
        for process in processes:
            with contextlib.suppress(ProcessLookupError):
                os.kill(process.pid, signal.SIGCONT)
