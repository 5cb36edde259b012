"""`manifest.json`: what a backup is of, what it holds, and the checksum of each of its files."""

import hashlib
import json
import os
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from paid.backups.figures import Figures

FORMAT = 1
NAME = "manifest.json"
BLOCK = 1 << 20


class BackupError(Exception):
    """A backup could not be made, read or restored."""


@dataclass(frozen=True)
class File:
    sha256: str
    bytes: int


@dataclass(frozen=True)
class Server:
    """The PostgreSQL that a backup is of. `superuser` is the role that its cluster was made with."""

    major: int
    version: str
    system_identifier: str
    superuser: str


@dataclass(frozen=True)
class Manifest:
    """`figures` were counted just before the copy began. `first_wal` is the first WAL file that it needs."""

    name: str
    database: str
    server: Server
    started_at: datetime
    ended_at: datetime
    first_wal: str
    is_archiving: bool
    figures: Figures
    files: dict[str, File]

    @property
    def bytes(self) -> int:
        return sum(file.bytes for file in self.files.values())

    def as_dict(self) -> dict[str, Any]:
        return {
            "format": FORMAT,
            "name": self.name,
            "database": self.database,
            "server": vars(self.server),
            "started_at": self.started_at.isoformat(),
            "ended_at": self.ended_at.isoformat(),
            "first_wal": self.first_wal,
            "is_archiving": self.is_archiving,
            "figures": self.figures.as_dict(),
            "files": {name: vars(file) for name, file in self.files.items()},
        }

    def write(self, directory: Path) -> None:
        with (directory / NAME).open("w") as file:
            json.dump(self.as_dict(), file, indent=2)
            file.flush()
            os.fsync(file.fileno())


def read(directory: Path) -> Manifest:
    """Raises BackupError when `directory` is no complete backup of ours."""
    path = directory / NAME
    try:
        values = json.loads(path.read_text())
        if values["format"] != FORMAT:
            raise BackupError(f"{path} has format {values['format']}, and this Paid reads {FORMAT}: use a newer Paid.")
        return Manifest(
            name=str(values["name"]),
            database=str(values["database"]),
            server=Server(**values["server"]),
            started_at=datetime.fromisoformat(values["started_at"]),
            ended_at=datetime.fromisoformat(values["ended_at"]),
            first_wal=str(values["first_wal"]),
            is_archiving=bool(values["is_archiving"]),
            figures=Figures.from_dict(values["figures"]),
            files={name: File(**file) for name, file in values["files"].items()},
        )
    except FileNotFoundError:
        raise BackupError(
            f"{directory} is no backup: it has no {NAME}, which is written when all else is there."
        ) from None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise BackupError(f"{path} cannot be read: {error}") from error


def all_in(directory: Path) -> list[Manifest]:
    """The complete backups in `directory`, oldest first."""
    if not directory.is_dir():
        return []
    found = [
        read(path.parent) for path in sorted(directory.glob(f"*/{NAME}")) if not path.parent.name.endswith(".part")
    ]
    return sorted(found, key=lambda manifest: manifest.ended_at)


def checksums(directory: Path) -> Iterator[tuple[str, File]]:
    """Every file below `directory` but the manifest, by its path from there."""
    for path in sorted(directory.rglob("*")):
        if path.is_file() and path.name != NAME:
            yield path.relative_to(directory).as_posix(), _sum(path)


def damage(directory: Path, manifest: Manifest) -> list[str]:
    """In words, what is missing, changed or too much; empty when every file is as it was written."""
    found = dict(checksums(directory))
    missing = [f"{name} is missing" for name in manifest.files if name not in found]
    changed = [
        f"{name} has changed ({found[name].bytes} bytes, {file.bytes} were written)"
        for name, file in manifest.files.items()
        if name in found and found[name] != file
    ]
    return missing + changed + [f"{name} does not belong there" for name in found if name not in manifest.files]


def _sum(path: Path) -> File:
    digest = hashlib.sha256()
    size = 0
    with path.open("rb") as file:
        while block := file.read(BLOCK):
            digest.update(block)
            size += len(block)
    return File(digest.hexdigest(), size)
