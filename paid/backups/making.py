"""One base backup: figures, pg_basebackup, checksums, and only then the manifest that makes it a backup."""

import hashlib
import json
import os
import shutil
import subprocess
import tarfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from urllib.parse import unquote, urlsplit

import psycopg
from psycopg import sql

from paid.backups import figures, manifest
from paid.backups.manifest import BackupError, Manifest, Server
from paid.backups.programs import client, speaking_tls
from paid.lib.sql import statement

BASE = "base"  # what pg_basebackup writes stands apart from what we add
CONNECT_SECONDS = 10

Say = Callable[[str], None]


@dataclass(frozen=True)
class _Found:
    """What the server says of itself."""

    server: Server
    database: str
    wal_segment_bytes: int
    is_archiving: bool
    now: datetime


def make(url: str, directory: Path, *, say: Say = lambda _: None, shows_progress: bool = False) -> Manifest:
    """Make `directory`/<time>, complete or not at all. `url` logs in a role with REPLICATION that sees every row."""
    with _connect(url) as connection:
        found = _ask(connection)
        say(f"counting the rows of {found.database}")
        counted = figures.count(connection)
    name = f"{found.now:%Y%m%dT%H%M%SZ}"
    target, scratch = directory / name, directory / f"{name}.part"
    if target.exists():
        raise BackupError(f"{target} exists already: wait a second.")
    shutil.rmtree(scratch, ignore_errors=True)
    scratch.mkdir(mode=0o700, parents=True)
    say(f"copying PostgreSQL {found.server.version} to {target}")
    _copy(url, scratch / BASE, name, shows_progress)
    with _connect(url) as connection:
        ended_at = _ask(connection).now
    say("writing checksums")
    made = Manifest(
        name=name,
        database=found.database,
        server=found.server,
        started_at=found.now,
        ended_at=ended_at,
        first_wal=_first_wal(scratch / BASE / "backup_manifest", found.wal_segment_bytes),
        is_archiving=found.is_archiving,
        figures=counted,
        files=dict(manifest.checksums(scratch)),
    )
    made.write(scratch)
    _flush(scratch)
    scratch.rename(target)
    _flush(directory)
    return made


def verify(directory: Path) -> list[str]:
    """In words, what is wrong with a backup; empty when all of it is as it was written. Raises BackupError."""
    found = manifest.read(directory)
    return manifest.damage(directory, found) or list(_unlike_postgresqls_manifest(directory / BASE))


def _unlike_postgresqls_manifest(base: Path) -> Iterator[str]:
    """Each file of the copy that is not what PostgreSQL sent: its own manifest reaches into the archive."""
    wanted = {file["Path"]: file["Checksum"] for file in json.loads((base / "backup_manifest").read_text())["Files"]}
    try:
        with tarfile.open(base / "base.tar.gz") as archive:
            for member in archive:
                content = archive.extractfile(member)
                if content is None or member.name not in wanted:
                    continue
                if hashlib.file_digest(content, "sha256").hexdigest() != wanted.pop(member.name):  # type: ignore[arg-type]  # IO[bytes]
                    yield f"{member.name} has changed inside base.tar.gz"
    except (tarfile.TarError, OSError, EOFError) as error:
        yield f"base.tar.gz cannot be read: {error}"
        return
    yield from (f"{name} is missing in base.tar.gz" for name in wanted if not name.startswith("pg_wal/"))


def _connect(url: str) -> figures.Connection:
    try:
        return psycopg.connect(url, connect_timeout=CONNECT_SECONDS, autocommit=True)
    except psycopg.OperationalError as error:
        raise BackupError(f"DATABASE_BACKUP_URL does not open: {str(error).strip()}") from error


def _ask(connection: figures.Connection) -> _Found:
    query = sql.SQL(statement("paid.backups", "figures", "server"))
    row = connection.execute(query).fetchone()
    assert row is not None  # a SELECT without a table always has its row  # noqa: S101
    version_number, version, identifier, segment, superuser, database, is_archiving, tablespaces, now = row
    if tablespaces:
        raise BackupError(
            "This server has tablespaces of its own, which a restore could not put back: move the tables."
        )
    server = Server(version_number // 10_000, version, identifier, superuser)
    return _Found(server, database, segment, is_archiving, now)


def _copy(url: str, target: Path, label: str, shows_progress: bool) -> None:
    program, environment = client("pg_basebackup"), _as_environment(url)
    if environment.get("PGSSLMODE") in _NEEDS_TLS:
        environment |= speaking_tls(program)
    argv = [str(program), "--pgdata", str(target), "--format=tar", "--wal-method=stream"]
    argv += ["--compress=client-gzip:1", "--checkpoint=fast", "--manifest-checksums=SHA256", f"--label=paid {label}"]
    argv += ["--no-password", *(["--progress"] if shows_progress else [])]
    output = None if shows_progress else subprocess.PIPE
    done = subprocess.run(argv, env=os.environ | environment, stderr=output, text=True, check=False)
    if done.returncode != 0:
        raise BackupError(
            f"pg_basebackup failed: {(done.stderr or 'see above').strip()}\nThe role needs REPLICATION, and pg_hba.conf"
            " a line for `replication` from this host; init-db.sql makes the role paid_backup."
        )


def _as_environment(url: str) -> dict[str, str]:
    """The address as libpq's variables: arguments show in the process list."""
    parts = urlsplit(url)
    values = {
        "PGHOST": parts.hostname,
        "PGPORT": str(parts.port or 5432),
        "PGUSER": parts.username,
        "PGPASSWORD": unquote(parts.password) if parts.password else None,
    }
    options = dict(pair.split("=", 1) for pair in parts.query.split("&") if "=" in pair)
    values |= {name: unquote(options[key]) for name, key in _TLS.items() if key in options}
    return {name: value for name, value in values.items() if value}


_NEEDS_TLS = ("require", "verify-ca", "verify-full")
_TLS = {"PGSSLMODE": "sslmode", "PGSSLROOTCERT": "sslrootcert", "PGSSLCERT": "sslcert", "PGSSLKEY": "sslkey"}


def _first_wal(path: Path, segment_bytes: int) -> str:
    """The name of the WAL file in which the backup starts: timeline, and the segment's number in two halves."""
    spans = json.loads(path.read_text())["WAL-Ranges"]
    high, _, low = spans[0]["Start-LSN"].partition("/")
    segment = ((int(high, 16) << 32) + int(low, 16)) // segment_bytes
    per_half = 2**32 // segment_bytes
    return f"{spans[0]['Timeline']:08X}{segment // per_half:08X}{segment % per_half:08X}"


def _flush(directory: Path) -> None:
    """So that the names in it are still there after a power cut."""
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
