"""A PostgreSQL and a Valkey of the bench's own: in a temporary directory, durable as in production, gone afterwards."""

import contextlib
import os
import re
import secrets
import shutil
import tempfile
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psycopg

from paid.stack import embedded
from tests.other_postgresql import start_other_postgresql, within_reach

ROOT = Path(__file__).resolve().parents[2]
DATABASE = "paid_production"
# What an operator of a machine with 8 GB sets; fsync, full_page_writes and synchronous_commit stay as they are shipped.
SETTINGS = {
    "shared_buffers": "1GB",
    "effective_cache_size": "4GB",
    "maintenance_work_mem": "512MB",
    "max_wal_size": "8GB",
    "max_connections": "300",
    "random_page_cost": "1.1",
}
_DIRECTORY = re.compile(r"^paid-bench-(\d+)-")


@dataclass(frozen=True)
class BenchServers:
    directory: Path
    postgresql: embedded.Server
    port: int
    superuser_password: str

    def connect_superuser(self) -> "psycopg.Connection[tuple[object, ...]]":
        return psycopg.connect(
            host="127.0.0.1",
            port=self.port,
            user="postgres",
            password=self.superuser_password,
            dbname=DATABASE,
            autocommit=True,
        )

    def check_alive(self) -> None:
        if self.postgresql.process.poll() is not None:
            raise embedded.ServerError("PostgreSQL ended in the middle of the bench: what follows cannot be measured.")


@contextlib.contextmanager
def bench_servers(parent: Path | None = None, native: Path | None = None) -> Iterator[BenchServers]:
    """Start both servers, point the environment at them, and remove everything at the end, however it comes.

    `native` is the directory of another PostgreSQL than the wheel's.
    """
    remove_left_behind(Path(tempfile.gettempdir()) if parent is None else parent)
    directory = Path(tempfile.mkdtemp(prefix=f"paid-bench-{os.getpid()}-", dir=parent))
    directory.chmod(0o711)  # PostgreSQL walks through it as nobody
    started: list[embedded.Server] = []
    try:
        servers = _start(directory, started, native)
        yield servers
    finally:
        for server in reversed(started):
            server.stop()
        _remove(directory)


def remove_left_behind(parent: Path) -> None:
    """Directories of benches whose process was killed without a last word."""
    for path in parent.glob("paid-bench-*"):
        found = _DIRECTORY.match(path.name)
        if found and not Path(f"/proc/{found[1]}").exists():
            _remove(path)


def _remove(directory: Path) -> None:
    data = directory / "postgresql"
    if data.is_symlink():  # under a closed directory the cluster lives elsewhere
        shutil.rmtree(data.resolve(), ignore_errors=True)
    shutil.rmtree(directory, ignore_errors=True)


def _start(directory: Path, started: list[embedded.Server], native: Path | None) -> BenchServers:
    port, valkey_port = embedded.free_port(), embedded.free_port()
    superuser, owner, application, valkey = (secrets.token_urlsafe(16) for _ in range(4))
    start = (
        embedded.start_postgresql
        if native is None
        else partial(start_other_postgresql, within_reach(native, directory))
    )
    postgresql = start(
        directory / "postgresql",
        directory / "postgresql.log",
        port=port,
        superuser_password=superuser,
        settings=SETTINGS,
    )
    started.append(postgresql)
    started.append(
        embedded.start_valkey(
            directory / "valkey", directory / "valkey.log", port=valkey_port, password=valkey, durable=False
        )
    )
    for server in started:
        server.wait_until_ready()
    passwords = {"PAID_OWNER_PASSWORD": owner, "PAID_APP_PASSWORD": application}
    embedded.run_psql(port, superuser, ["-f", str(ROOT / "init-db.sql")], passwords)
    os.environ.update(
        {
            "PAID_STATE_DIR": str(directory / "state"),
            "DATABASE_URL": f"postgresql://paid_app:{application}@127.0.0.1:{port}/{DATABASE}",
            "DATABASE_OWNER_URL": f"postgresql://paid_owner:{owner}@127.0.0.1:{port}/{DATABASE}",
            "DATABASE_SOCKET_DIRECTORY": str(embedded.socket_directory(directory / "postgresql") or ""),
            "REDIS_URL": f"redis://:{valkey}@127.0.0.1:{valkey_port}/0",
            "DJANGO_SETTINGS_MODULE": "paid.settings",
        }
    )
    return BenchServers(directory, postgresql, port, superuser)
