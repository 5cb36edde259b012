"""Which backups are old enough to go, and the archived WAL that only they needed."""

import re
import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from pathlib import Path

from paid.backups import manifest
from paid.backups.manifest import Manifest

# A WAL file, its partial last one, or the note of a backup that starts in it. Histories of timelines are kept.
WAL = re.compile(r"([0-9A-F]{24})(\.partial|\.[0-9A-F]{8}\.backup)?$")
TIMELINE_DIGITS = 8


@dataclass(frozen=True)
class Plan:
    """What goes. `unfinished` are directories in which nobody has written for a day: their backup was killed."""

    backups: tuple[Manifest, ...]
    unfinished: tuple[Path, ...]
    wal: tuple[Path, ...]

    @property
    def bytes(self) -> int:
        return sum(backup.bytes for backup in self.backups) + sum(path.stat().st_size for path in self.wal)


def plan(directory: Path, *, keep_days: int, keep_at_least: int, wal: Path | None, now: datetime | None = None) -> Plan:
    """Backups that ended more than `keep_days` ago, but never one of the `keep_at_least` latest."""
    since = (now or datetime.now(UTC)) - timedelta(days=keep_days)
    found = manifest.all_in(directory)
    candidates = found[: max(len(found) - keep_at_least, 0)]
    gone = tuple(backup for backup in candidates if backup.ended_at < since)
    kept = [backup for backup in found if backup not in gone]
    yesterday = (datetime.now(UTC) - timedelta(days=1)).timestamp()
    unfinished = [path for path in sorted(directory.glob("*.part")) if _touched_at(path) < yesterday]
    return Plan(gone, tuple(unfinished), tuple(_unneeded(wal, kept)) if wal else ())


def carry_out(directory: Path, plan: Plan) -> None:
    """Delete what the plan names. A backup is renamed first: one that is half gone is none, and goes the next time."""
    unfinished = [*plan.unfinished]
    for backup in plan.backups:
        path = directory / backup.name
        unfinished.append(path.rename(path.with_name(f"{path.name}.part")))
    for path in unfinished:
        shutil.rmtree(path)
    for path in plan.wal:
        path.unlink(missing_ok=True)


def _touched_at(directory: Path) -> float:
    """The newest time in it: a copy that takes days writes into its files, and leaves the directory's time alone."""
    try:
        return max(path.stat().st_mtime for path in (directory, *directory.rglob("*")))
    except FileNotFoundError:
        # Somebody is at it: what was listed has another name by now, or is gone.
        return datetime.now(UTC).timestamp()


def _unneeded(wal: Path, kept: list[Manifest]) -> Iterator[Path]:
    """Files before the first one that a kept backup starts in, whatever their timeline. Without a backup, none."""
    if not kept:
        return
    first = min(backup.first_wal[TIMELINE_DIGITS:] for backup in kept)
    for path in sorted(wal.iterdir()):
        named = WAL.fullmatch(path.name)
        if named is not None and named[1][TIMELINE_DIGITS:] < first:
            yield path
