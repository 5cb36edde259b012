"""Keeps the next partitions ready and the closed ones indexed. Example: `manage.py partitions --dry-run`."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from dataclasses import dataclass, field
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import DatabaseError

from paid.lib import partitions
from paid.stack.conversion import Conversion, add_conversion_arguments

ALARM = 3


@dataclass
class Report:
    is_busy: bool = False
    planned: list[str] = field(default_factory=list)
    made: list[str] = field(default_factory=list)
    unbuilt: list[str] = field(default_factory=list)
    built: list[str] = field(default_factory=list)
    alarms: list[partitions.Unexpected] = field(default_factory=list)
    in_use: list[str] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def as_dict(self) -> dict[str, Any]:
        return {
            "made": self.made,
            "planned": self.planned,
            "indexes_built": self.built,
            "indexes_planned": self.unbuilt,
            "unexpected_rows": {alarm.parent: alarm.rows for alarm in self.alarms},
            "in_use": self.in_use,
            "is_busy": self.is_busy,
        }


class Command(BaseCommand):
    help = (
        "Make the missing partitions of the log, the ledger and the audit log, also those of rows that fell into a\n"
        "default partition (which moves them over), and build the indexes that closed partitions are to have (without\n"
        "blocking anybody); harmless to repeat.\n\n"
        "Exit codes: 0 all is well; 1 a partition or an index could not be made; 3 a default partition still holds\n"
        "rows that nobody expected.\n"
        "Example: manage.py partitions --json\n\n"
        "`partitions convert TABLE` makes a table that grew unpartitioned a partitioned one, while it is written."
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
        actions = parser.add_subparsers(dest="action", metavar="convert")
        add_conversion_arguments(actions.add_parser("convert", help="partition a table while it is written"))

    def handle(self, *args: Any, **options: Any) -> None:
        if options["action"] == "convert":
            Conversion(self.stdout, options).run()
            return
        report = Report()
        say = (lambda _: None) if options["json"] else self.stdout.write
        with partitions.alone() as is_alone:
            report.is_busy = not is_alone
            if is_alone and options["dry_run"]:
                self._plan(report)
            elif is_alone:
                self._apply(report, say)
        report.alarms = partitions.unexpected()
        if options["json"]:
            self.stdout.write(json.dumps(report.as_dict()))
        else:
            self._tell(report)
        self._alarm(report.alarms)
        if report.failures:
            raise CommandError("\n".join(report.failures))
        if report.alarms:
            raise SystemExit(ALARM)

    def _plan(self, report: Report) -> None:
        report.planned = [f"{one.parent} {one.starts_at:%Y-%m-%d}" for one in partitions.missing()]
        report.unbuilt = [one.name for one in partitions.unbuilt_indexes()]

    def _apply(self, report: Report, say: Any) -> None:
        """What fails is noted, and the rest is done: the alarm too must be heard."""
        made, in_use = partitions.gather(partitions.create_missing(), lambda one: say(f"made    {one}"))
        report.made = [f"{one.parent} {one.starts_at:%Y-%m-%d}" for one in made]
        if in_use is not None:
            report.in_use = list(in_use.names)
            report.failures.append(str(in_use))
        try:
            for waiting in partitions.unbuilt_indexes():
                say(f"index   {waiting.name} over about {waiting.estimated_rows} rows …")
                partitions.build_index(waiting)
                report.built.append(waiting.name)
        except DatabaseError as error:
            report.failures.append(f"{error}\nIndexes are built as the owner: see DATABASE_OWNER_URL.")

    def _tell(self, report: Report) -> None:
        for planned in report.planned:
            self.stdout.write(f"missing {planned.replace(' ', ' from ')}")
        for unbuilt in report.unbuilt:
            self.stdout.write(f"missing index {unbuilt}")
        if report.is_busy:
            self.stdout.write("Another process is at it.")
        else:
            indexes = f" and {len(report.built)} indexes" if report.built else ""
            self.stdout.write(f"{len(report.made)} partitions{indexes} made.")

    def _alarm(self, alarms: list[partitions.Unexpected]) -> None:
        for alarm in alarms:
            self.stderr.write(
                f"ALARM {alarm.parent}: {alarm.rows} rows in the default partition. Their time is older or later than"
                " any partition: find out who writes them."
            )
