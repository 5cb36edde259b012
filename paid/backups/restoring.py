"""From a backup to a data directory that a server can start with, recovered to one moment and looked through.

All of it happens beside the target: what was there before is renamed, never deleted, and only when the copy has been
recovered and its figures are sound.
"""

import os
import shlex
import shutil
import subprocess
import tarfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from paid.backups import figures, losses, manifest
from paid.backups.figures import Figures
from paid.backups.losses import Traces
from paid.backups.making import BASE, verify
from paid.backups.manifest import BackupError, Manifest
from paid.backups.programs import client, server_binaries
from paid.backups.recovery import Reached, prepare_settings, recover
from paid.stack import embedded

TOLD = 5  # of the losses: the first ones say enough

Say = Callable[[str], None]


class TargetNotEmptyError(BackupError):
    """The directory to restore into holds something."""


class UnsoundError(BackupError):
    """The restored database does not add up; it was not put in place."""


@dataclass(frozen=True)
class Plan:
    """`moment` None is the end of the archived WAL, or of the backup where there is none."""

    backup: Path
    made: Manifest
    target: Path
    moment: datetime | None
    restore_command: str | None
    moves_aside: Path | None

    @property
    def scratch(self) -> Path:
        """An empty directory may be a mount point, which cannot be renamed: then the target itself."""
        is_there = self.target.is_dir() and self.moves_aside is None
        return self.target if is_there else self.target.with_name(f"{self.target.name}.restoring")

    def steps(self) -> list[str]:
        made, until = self.made, "the end of the backup"
        if self.restore_command is not None:
            until = f"{self.moment:%Y-%m-%d %H:%M:%S.%f %Z}" if self.moment else "the end of the archived WAL"
        steps = [
            f"check the {len(made.files)} files of {self.backup} ({made.bytes} bytes)",
            f"unpack PostgreSQL {made.server.version} into {self.scratch}",
            f"recover it to {until}" + (f" with: {self.restore_command}" if self.restore_command else ""),
            "compare the ledger with its daily sums, and rows with those of the backup",
        ]
        if self.moves_aside is not None:
            steps.append(f"REPLACE {self.target}: what is there now is renamed to {self.moves_aside}")
        return steps if self.scratch == self.target else [*steps, f"rename it to {self.target}"]


@dataclass(frozen=True)
class Outcome:
    """`fewer_rows` says in words what an erasure or retention took between the backup and the moment."""

    figures: Figures
    reached: Reached
    drifted_days: int | None
    fewer_rows: list[str]


def plan(
    backups: Path,
    target: Path,
    *,
    moment: datetime | None,
    restore_command: str | None,
    replaces: bool = False,
    now: datetime | None = None,
) -> Plan:
    """What a restore would do. `backups` is one backup, or a directory of them: the latest that ended before `moment`.

    Raises TargetNotEmptyError, and BackupError when nothing leads to that moment.
    """
    backup, made = _choose(backups, moment)
    if moment is not None and restore_command is None:
        raise BackupError("A moment is reached by archived WAL only: name it with --wal DIRECTORY or --wal-command.")
    target = target.resolve()  # as root the data directory of `make up` may be a link
    aside = None
    if target.exists() and (not target.is_dir() or any(target.iterdir())):
        if not replaces:
            raise TargetNotEmptyError(
                f"{target} is not empty: nothing was changed. Choose another directory, or say --replace, which renames"
                " what is there and never deletes it."
            )
        if (target / "postmaster.pid").exists():
            raise TargetNotEmptyError(f"A server may be running in {target} (it has a postmaster.pid): stop it first.")
        aside = target.with_name(f"{target.name}.before-{now or datetime.now(UTC):%Y%m%dT%H%M%SZ}")
    return Plan(backup, made, target, moment, restore_command, aside)


def restore(plan: Plan, *, binaries: Path | None = None, say: Say = lambda _: None) -> Outcome:
    """Carry it out. Raises BackupError, and UnsoundError when the figures of what was restored are not sound."""
    programs = server_binaries(plan.made.server.major, binaries)
    unpack(plan, say, major_matches=True)
    say("recovering")
    outcome = recover(plan.scratch, programs, plan.made, plan.restore_command, plan.moment, look=_look)
    counted, drifted, left = outcome.found
    lost = losses.between(plan.made.figures, counted, left)
    problems = lost.unexplained[:TOLD]
    if drifted:
        problems.append(f"{drifted} daily sums differ from the ledger")
    if problems:
        raise UnsoundError(f"{'; '.join(problems)}. The copy is in {plan.scratch}; {plan.target} is as it was.")
    _put_in_place(plan)
    return Outcome(counted, outcome.reached, drifted, lost.explained)


def prepare(plan: Plan, say: Say = lambda _: None) -> None:
    """Unpack only: the server that is started in the directory recovers it, by settings that are left there."""
    unpack(plan, say, major_matches=False)
    prepare_settings(plan.scratch, plan.restore_command, plan.moment)
    _put_in_place(plan)


def unpack(plan: Plan, say: Say, *, major_matches: bool) -> None:
    say(f"checking {plan.backup}")
    if problems := verify(plan.backup):
        raise BackupError(f"The backup is damaged, and nothing was restored: {'; '.join(problems[:5])}")
    say(f"unpacking into {plan.scratch}")
    scratch = plan.scratch
    if scratch != plan.target:
        shutil.rmtree(scratch, ignore_errors=True)
        scratch.mkdir(mode=0o700, parents=True)
    scratch.chmod(0o700)
    _extract(plan.backup / BASE / "base.tar.gz", scratch)
    _extract(plan.backup / BASE / "pg_wal.tar.gz", scratch / "pg_wal")
    argv = [str(client("pg_verifybackup")), "--quiet", "-m", str(plan.backup / BASE / "backup_manifest"), str(scratch)]
    argv += [] if major_matches and plan.made.server.major == _client_major() else ["--no-parse-wal"]
    done = subprocess.run(argv, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise BackupError(f"What was unpacked is not what was backed up: {done.stderr.strip()[:1000]}")
    if (account := embedded.Account.for_postgresql()) is not None:
        for path in (scratch, *scratch.rglob("*")):
            os.chown(path, account.uid, account.gid, follow_symlinks=False)


def copy_from(wal: Path) -> str:
    """A restore_command for a directory of archived WAL."""
    return f"cp {shlex.quote(str(wal.resolve())).replace('%', '%%')}/%f %p"


def _client_major() -> int:
    done = subprocess.run([client("pg_verifybackup"), "--version"], capture_output=True, text=True, check=True)
    return int(done.stdout.split()[-1].split(".")[0])


def _choose(backups: Path, moment: datetime | None) -> tuple[Path, Manifest]:
    if (backups / manifest.NAME).is_file():
        found = [(backups, manifest.read(backups))]
    else:
        found = [(backups / made.name, made) for made in manifest.all_in(backups)]
    if not found:
        raise BackupError(f"{backups} holds no complete backup.")
    early_enough = [one for one in found if moment is None or one[1].ended_at <= moment]
    if not early_enough:
        first = found[0][1]
        raise BackupError(
            f"The earliest backup ended at {first.ended_at:%Y-%m-%d %H:%M:%S.%f %Z}, which is after {moment}:"
            " WAL leads forwards only."
        )
    return early_enough[-1]


def _extract(archive: Path, target: Path) -> None:
    with tarfile.open(archive) as members:
        # Refuses members that would land outside, and links that lead there.
        members.extractall(target, filter="data")


def _look(connection: figures.Connection) -> tuple[Figures, int | None, Traces]:
    return figures.count(connection), figures.drifted(connection), losses.traces(connection)


def _put_in_place(plan: Plan) -> None:
    if plan.moves_aside is not None:
        plan.target.rename(plan.moves_aside)
    if plan.scratch != plan.target:
        plan.scratch.rename(plan.target)
