"""Restores a backup to a moment. Example: `manage.py restore --into DIR --wal DIR --to '2026-11-22 21:30'`."""

import json
import tempfile
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from paid.backups import restoring, stores
from paid.backups.manifest import BackupError
from paid.backups.restoring import Plan, TargetNotEmptyError, UnsoundError

FAILED, UNSOUND, NOT_EMPTY = 1, 3, 4


class Command(BaseCommand):
    help = (
        "Restore a backup into a new data directory, recover it to a moment, compare the ledger with its daily sums\n"
        "and the rows with those of the backup, and only then put it in place. Rows that an erased account or\n"
        "retention took are told and no fault. What is in the way is never overwritten: --replace renames it.\n"
        "Afterwards start your server in that directory, and make a new backup.\n\n"
        "Exit codes: 0 restored; 1 failed; 3 restored but not sound (left beside); 4 the directory is not empty.\n\n"
        "Examples:\n"
        "  manage.py restore /srv/backups --into /srv/postgresql --wal /srv/wal --to '2026-11-22 21:30:00' --dry-run\n"
        "  manage.py restore --into .paid/postgresql --replace             # the latest one, as it was at its end\n"
        "  manage.py restore 20261122T213000Z --fetch-command 'aws s3 cp s3://bucket/paid/{path} -'\n"
        "      --wal-command 'aws s3 cp s3://bucket/wal/%f %p' --into /srv/postgresql"
    )
    # It must work while the rest of Paid does not.
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        default = settings.BACKUPS_DIR
        parser.add_argument("backup", nargs="?", type=Path, default=default, help="a backup, or a directory of them")
        parser.add_argument("--into", type=Path, required=True, help="the data directory to make")
        parser.add_argument("--to", type=_moment, help="the moment, such as '2026-11-22 21:30:00+01:00' (without: UTC)")
        wal = parser.add_mutually_exclusive_group()
        wal.add_argument("--wal", type=Path, help="the directory of archived WAL")
        wal.add_argument("--wal-command", help="or a restore_command, which brings the WAL file %%f to %%p")
        parser.add_argument(
            "--fetch-command", metavar="COMMAND", help="writes the file {path} of a stored backup to its output"
        )
        parser.add_argument(
            "--replace", action="store_true", help="rename what is in the directory, and take its place"
        )
        parser.add_argument(
            "--prepare", action="store_true", help="unpack only: your own server recovers when it starts"
        )
        parser.add_argument("--binaries", type=Path, help="bin directory of a PostgreSQL of the backup's version")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, and do nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["fetch_command"] is None:
                self._restore(options["backup"], options)
                return
            # Beside the target, where there is room for it.
            parent = options["into"].resolve().parent
            with tempfile.TemporaryDirectory(prefix=".paid-fetched-", dir=parent) as directory:
                name, command = options["backup"].name, options["fetch_command"]
                self._restore(stores.fetch(name, Path(directory), command, self._say), options)
        except TargetNotEmptyError as error:
            raise CommandError(str(error), returncode=NOT_EMPTY) from None
        except UnsoundError as error:
            raise CommandError(str(error), returncode=UNSOUND) from None
        except (BackupError, OSError) as error:
            raise CommandError(str(error), returncode=FAILED) from None

    def _restore(self, backup: Path, options: dict[str, Any]) -> None:
        wal: Path | None = options["wal"]
        if wal is not None and not wal.is_dir():
            raise BackupError(f"{wal} is no directory.")
        command = restoring.copy_from(wal) if wal else options["wal_command"]
        plan = restoring.plan(
            backup, options["into"], moment=options["to"], restore_command=command, replaces=options["replace"]
        )
        if options["dry_run"]:
            self._print_plan(plan, options["json"])
        elif options["prepare"]:
            restoring.prepare(plan, self._say)
            told = f"{plan.target} is unpacked. Start PostgreSQL {plan.made.server.major} in it: it recovers by itself."
            self.stdout.write(json.dumps({"prepared": str(plan.target)}) if options["json"] else told)
        else:
            self._print_outcome(
                plan, restoring.restore(plan, binaries=options["binaries"], say=self._say), options["json"]
            )

    def _print_plan(self, plan: Plan, is_json: bool) -> None:
        if is_json:
            self.stdout.write(json.dumps({"backup": plan.made.name, "into": str(plan.target), "steps": plan.steps()}))
            return
        self.stdout.write(f"Backup {plan.made.name} would be restored into {plan.target}:")
        for number, step in enumerate(plan.steps(), start=1):
            self.stdout.write(f"  {number}. {step}")

    def _print_outcome(self, plan: Plan, outcome: restoring.Outcome, is_json: bool) -> None:
        if is_json:
            report = {
                "backup": plan.made.name,
                "into": str(plan.target),
                "moved_aside": str(plan.moves_aside) if plan.moves_aside else None,
                "stopped": outcome.reached.stopped,
                "last_transaction_at": outcome.reached.last_transaction_at,
                "days_that_differ_from_the_ledger": outcome.drifted_days,
                "fewer_rows": outcome.fewer_rows,
                "figures": outcome.figures.as_dict(),
            }
            self.stdout.write(json.dumps(report))
            return
        former, found = plan.made.figures, outcome.figures
        self.stdout.write(f"{'table':<32} {'backup':>12} {'restored':>12}")
        for name, rows in found.tables.items():
            self.stdout.write(f"{name:<32} {former.tables.get(name, 0):>12} {rows:>12}")
        self.stdout.write(f"ledger, USD: {former.ledger_usd} in the backup, {found.ledger_usd} restored")
        for told in outcome.fewer_rows:
            self.stdout.write(f"fewer than in the backup, as it should be: {told}")
        self.stdout.write(
            f"{outcome.reached.stopped}; last transaction {outcome.reached.last_transaction_at or 'unknown'}"
        )
        if plan.moves_aside is not None:
            self.stdout.write(f"What was there before is in {plan.moves_aside}.")
        self.stdout.write(f"{plan.target} is ready. Start PostgreSQL in it, and make a new backup.")

    def _say(self, text: str) -> None:
        if self.stderr.isatty():
            self.stderr.write(text)


def _moment(text: str) -> datetime:
    """ISO 8601; UTC where it names no zone. argparse turns the ValueError into a usage message."""
    moment = datetime.fromisoformat(text)
    return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
