"""`manage.py up` from outside: what the terminal, the file system, the ports and the process list show."""

import json
import os
import shutil
import signal
import socket
import stat
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import Iterable, Iterator
from pathlib import Path
from queue import Empty, Queue

import psycopg
import pytest

from paid.stack import embedded

ROOT = Path(__file__).resolve().parents[2]
# One stack for the whole module: it is the same worker of pytest-xdist that runs all of it.
OURS = (
    *("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_SOCKET_DIRECTORY", "REDIS_URL", "TEMPORAL_ADDRESS"),
    "DJANGO_SETTINGS_MODULE",
)


def environment(state: Path, port: int) -> dict[str, str]:
    """The caller's environment without the servers of the test session."""
    kept = {name: value for name, value in os.environ.items() if name not in OURS and "PYTEST" not in name}
    return {**kept, "PAID_STATE_DIR": str(state), "PORT": str(port)}


def family_of(pid: int) -> dict[int, str]:
    """The process and all its descendants, with their command lines."""
    found: dict[int, str] = {}
    waiting = [pid]
    while waiting:
        directory = Path("/proc") / str(waiting.pop())
        try:
            found[int(directory.name)] = (directory / "cmdline").read_bytes().replace(b"\0", b" ").decode().strip()
            for task in (directory / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except OSError:  # it ended while we looked
            continue
    return found


def living(pids: Iterable[int]) -> list[int]:
    return [pid for pid in pids if (Path("/proc") / str(pid)).exists()]


class Up:
    """A running `manage.py up`, and what it printed."""

    def __init__(self, state: Path, port: int) -> None:
        self.state, self.port = state, port
        self.process = start(state, port)
        self._lines: Queue[str | None] = Queue()
        self.printed: list[str] = []
        threading.Thread(target=self._collect, daemon=True).start()

    def _collect(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self._lines.put(line)
        self._lines.put(None)

    def wait_for(self, text: str, timeout_seconds: float = 300) -> str:
        deadline = time.monotonic() + timeout_seconds
        while True:
            try:
                line = self._lines.get(timeout=max(deadline - time.monotonic(), 0))
            except Empty:
                raise AssertionError(f"{text!r} did not come:\n{''.join(self.printed)}") from None
            assert line is not None, f"it ended before {text!r}:\n{''.join(self.printed)}"
            self.printed.append(line)
            if text in line:
                return line

    def stop(self, number: signal.Signals) -> int:
        """Its exit code. What does not leave is killed, and its programs with it."""
        self.process.send_signal(number)
        try:
            return self.process.wait(180)
        finally:
            self.process.kill()

    def health(self) -> int:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/healthz", timeout=60) as answer:
            return int(answer.status)


def start(state: Path, port: int) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "manage.py", "up"],
        cwd=ROOT,
        env=environment(state, port),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )


def all_said_by(process: subprocess.Popen[str]) -> str:
    try:
        return process.communicate(timeout=180)[0]
    finally:
        process.kill()


@pytest.fixture(scope="module")
def up() -> Iterator[Up]:
    # Open to others, unlike pytest's own directories: as root PostgreSQL would keep its files elsewhere.
    top = Path(tempfile.mkdtemp(prefix="paid-stack-"))
    top.chmod(0o711)
    state = top / "state"
    state.mkdir(mode=0o711)
    running = Up(state, embedded.free_port())
    try:
        running.wait_for("Paid is up")
        running.wait_for("Stop ")
        yield running
    finally:
        if running.process.poll() is None:
            running.stop(signal.SIGINT)
        shutil.rmtree(top, ignore_errors=True)


def test_it_prints_address_and_login_when_everything_answers(up: Up):
    printed = "".join(up.printed)
    assert f"Open    http://127.0.0.1:{up.port}" in printed
    assert "Login   admin@paid.local" in printed
    assert up.health() == 200


def test_its_secrets_are_readable_by_their_owner_only(up: Up):
    assert stat.S_IMODE((up.state / "stack.env").stat().st_mode) == 0o600


def test_no_password_shows_in_the_process_list(up: Up):
    values = dict(line.split("=", 1) for line in (up.state / "stack.env").read_text().splitlines()[1:])
    secrets = [value for name, value in values.items() if "PASSWORD" in name or name == "SECRET_KEY"]
    shown = "\n".join(family_of(up.process.pid).values())
    assert len(secrets) == 7
    assert [secret for secret in secrets if secret in shown] == []


def test_its_servers_listen_on_loopback_only(up: Up):
    listening = subprocess.run(["ss", "-Htlnp"], capture_output=True, text=True, check=True).stdout.splitlines()
    values = dict(line.split("=", 1) for line in (up.state / "stack.env").read_text().splitlines()[1:])
    ports = {value for name, value in values.items() if name.endswith("_PORT")} | {str(up.port)}
    addresses = {line.split()[3] for line in listening if line.split()[3].rsplit(":", 1)[1] in ports}
    assert addresses == {f"127.0.0.1:{port}" for port in ports}


def test_its_gateway_asks_the_database_past_the_network(up: Up):
    values = dict(line.split("=", 1) for line in (up.state / "stack.env").read_text().splitlines()[1:])
    password, port = values["POSTGRES_PASSWORD"], values["POSTGRES_PORT"]
    with psycopg.connect(host="127.0.0.1", port=port, user="postgres", password=password) as superuser:
        addresses = superuser.execute(
            "SELECT DISTINCT client_addr FROM pg_stat_activity WHERE application_name = 'paid gateway'"
        ).fetchall()
    assert addresses == [(None,)]


def test_a_second_one_says_that_one_is_running(up: Up):
    second = start(up.state, embedded.free_port())
    output = all_said_by(second)
    assert f"Paid is already running here (process {up.process.pid})" in output
    # Where its pages are, whatever port the second one was given.
    assert f"Open http://127.0.0.1:{up.port}, or stop it" in output
    assert second.returncode == 3
    assert up.health() == 200


def test_a_demo_uses_it_whatever_port_it_has(up: Up):
    demo = subprocess.run(
        [sys.executable, "manage.py", "demo"],
        cwd=ROOT,
        env=environment(up.state, embedded.free_port()),
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert (demo.returncode, json.loads(demo.stdout.splitlines()[-1])["status"]) == (0, "completed"), demo.stderr


def test_a_busy_port_is_named_and_nothing_is_started(tmp_path: Path):
    with socket.socket() as other:
        other.bind(("127.0.0.1", 0))
        other.listen()
        port = other.getsockname()[1]
        refused = start(tmp_path, port)
        output = all_said_by(refused)
    assert f"Port {port} is taken by another program" in output
    assert refused.returncode == 4
    assert not (tmp_path / "stack.env").exists()
    assert not (tmp_path / "postgresql").exists()


def test_every_process_is_listed_under_its_own_command(up: Up):
    shown = set(family_of(up.process.pid).values())
    assert {
        "manage.py temporal_worker --queue control",
        "manage.py temporal_worker --queue agents",
        "manage.py gateway",
        "manage.py scripted_model",
        f"uvicorn paid.asgi:application --port {up.port}",
    } <= shown


def test_a_process_that_dies_is_started_again_and_the_log_says_so(up: Up):
    (pid,) = [pid for pid, command in family_of(up.process.pid).items() if command == "manage.py scripted_model"]
    os.kill(pid, signal.SIGKILL)
    assert "model was ended by SIGKILL; it is started again in 0.5 s" in up.wait_for("model was ended")
    assert "model was ended by SIGKILL" in (up.state / "log" / "paid.log").read_text()


def test_ctrl_c_leaves_nothing_running_and_the_next_start_keeps_its_secrets(up: Up):
    before = (up.state / "stack.env").read_text()
    family = family_of(up.process.pid)
    assert up.stop(signal.SIGINT) == 0
    assert len(family) > 10
    assert living(family) == []

    # Its lock file is still there, and the process that it names may be somebody else's by now.
    (up.state / "up.lock").write_text("1\n")
    again = Up(up.state, up.port)
    try:
        again.wait_for("Stop ")
        family = family_of(again.process.pid)
    finally:
        code = again.stop(signal.SIGTERM)
    assert code == 0
    assert living(family) == []
    secrets = {line for line in before.splitlines() if "PASSWORD=" in line or "_KEY" in line}
    assert secrets <= set((up.state / "stack.env").read_text().splitlines())
