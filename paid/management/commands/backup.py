"""Backs the whole PostgreSQL server up. Example: `manage.py backup /srv/backups`."""

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from paid.backups import making, manifest, pruning, stores
from paid.backups.manifest import BackupError, Manifest

DAMAGED = 3


class Command(BaseCommand):
    help = (
        "Copy the whole PostgreSQL server (Paid's databases and Temporal's) into a new directory below DIRECTORY,\n"
        "with checksums and a few figures. Logs in as DATABASE_BACKUP_URL says. The keys that open stored secrets are\n"
        "not in it: keep a copy of ENCRYPTION_KEYS elsewhere. `manage.py restore` is the way back.\n\n"
        "Exit codes: 0 done; 1 failed; 3 --verify found damage.\n\n"
        "Examples:\n"
        "  manage.py backup /srv/backups\n"
        "  manage.py backup /srv/backups --store-command 'aws s3 cp - s3://bucket/paid/{path}'\n"
        "  manage.py backup /srv/backups --verify\n"
        "  manage.py backup /srv/backups --prune --keep-days 30 --wal /srv/wal --dry-run"
    )
    # It must work while the rest of Paid does not.
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", nargs="?", type=Path, default=settings.BACKUPS_DIR, help="where backups are")
        what = parser.add_mutually_exclusive_group()
        what.add_argument("--verify", action="store_true", help="check every backup in DIRECTORY, or DIRECTORY itself")
        what.add_argument("--prune", action="store_true", help="delete backups that are older than --keep-days")
        what.add_argument("--store-command", metavar="COMMAND", help="then send each file to COMMAND's standard input")
        parser.add_argument("--keep-days", type=int, default=30, help="--prune: keep what ended in these days (30)")
        parser.add_argument("--keep-at-least", type=int, default=3, help="--prune: keep so many, however old (3)")
        parser.add_argument("--wal", type=Path, help="--prune: the directory of archived WAL, to shorten it too")
        parser.add_argument("--dry-run", action="store_true", help="--prune: say what would go, and delete nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["verify"]:
                self._verify(options["directory"], options["json"])
            elif options["prune"]:
                self._prune(options)
            else:
                self._make(options["directory"], options["store_command"], options["json"])
        except (BackupError, OSError) as error:
            raise CommandError(str(error)) from None

    def _make(self, directory: Path, store_command: str | None, is_json: bool) -> None:
        shows_progress = self.stderr.isatty()
        made = making.make(settings.DATABASE_BACKUP_URL, directory, say=self._say, shows_progress=shows_progress)
        if store_command:
            stores.send(directory, made, store_command, self._say)
        if not made.is_archiving:
            self.stderr.write(
                "This server archives no WAL: what is written from now on is in no backup (docs/operations.md)."
            )
        if is_json:
            self.stdout.write(json.dumps({"path": str(directory / made.name), **made.as_dict()}))
        else:
            self.stdout.write(f"{directory / made.name}: {_told(made)}")

    def _verify(self, directory: Path, is_json: bool) -> None:
        paths = [directory] if (directory / manifest.NAME).exists() else _backups(directory)
        damage: dict[str, list[str]] = {}
        for path in paths:
            self._say(f"checking {path}")
            damage[str(path)] = making.verify(path)
        if is_json:
            self.stdout.write(json.dumps({"damage": damage}))
        else:
            for name, problems in damage.items():
                self.stdout.write(f"{name}: " + ("; ".join(problems) or "every file is as it was written"))
        if any(damage.values()):
            sys.exit(DAMAGED)

    def _prune(self, options: dict[str, Any]) -> None:
        directory: Path = options["directory"]
        if options["keep_days"] < 0 or options["keep_at_least"] < 1:
            raise CommandError("--keep-days must be 0 or more, and --keep-at-least 1 or more.")
        plan = pruning.plan(
            directory, keep_days=options["keep_days"], keep_at_least=options["keep_at_least"], wal=options["wal"]
        )
        size = plan.bytes  # while its files are there
        if not options["dry_run"]:
            pruning.carry_out(directory, plan)
        if options["json"]:
            report = {
                "is_dry_run": options["dry_run"],
                "backups": [backup.name for backup in plan.backups],
                "unfinished": [path.name for path in plan.unfinished],
                "wal_files": len(plan.wal),
                "bytes": size,
            }
            self.stdout.write(json.dumps(report))
            return
        verb = "would delete" if options["dry_run"] else "deleted"
        for backup in plan.backups:
            self.stdout.write(f"{verb} {backup.name}: {_told(backup)}")
        for path in plan.unfinished:
            self.stdout.write(f"{verb} {path.name}, which was never finished")
        self.stdout.write(f"{verb} {len(plan.backups)} backups and {len(plan.wal)} WAL files, {size} bytes")

    def _say(self, text: str) -> None:
        if self.stderr.isatty():
            self.stderr.write(text)


def _backups(directory: Path) -> list[Path]:
    found = [directory / made.name for made in manifest.all_in(directory)]
    if not found:
        raise BackupError(f"{directory} holds no complete backup.")
    return found


def _told(made: Manifest) -> str:
    rows = sum(made.figures.tables.values())
    return (
        f"PostgreSQL {made.server.version}, {made.bytes} bytes, {rows} rows, ledger {made.figures.ledger_usd} USD,"
        f" ended {made.ended_at:%Y-%m-%d %H:%M:%S %Z}"
    )
