"""Keeps the next partitions ready. Example: `manage.py partitions --dry-run`."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from collections.abc import Iterator
from typing import Any

from django.core.management.base import BaseCommand

from paid.lib import partitions

ALARM = 3


class Command(BaseCommand):
    help = (
        "Make the missing partitions of the log, the ledger and the audit log; harmless to repeat.\n\n"
        "Exit codes: 0 all is well; 3 a default partition holds rows that nobody expected.\n"
        "Example: manage.py partitions --json"
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be made, and make nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        with partitions.alone() as is_alone:
            if not is_alone:
                self._finish(options["json"], made=[], planned=[], is_busy=True)
                return
            planned = partitions.missing() if options["dry_run"] else []
            made = [] if options["dry_run"] else list(self._made(options["json"]))
        self._finish(options["json"], made=made, planned=planned, is_busy=False)

    def _made(self, is_json: bool) -> Iterator[partitions.Missing]:
        for one in partitions.create_missing():
            if not is_json:
                self.stdout.write(f"made    {one.parent} from {one.starts_at:%Y-%m-%d}")
            yield one

    def _finish(
        self, is_json: bool, *, made: list[partitions.Missing], planned: list[partitions.Missing], is_busy: bool
    ) -> None:
        alarms = partitions.unexpected()
        if is_json:
            report = {
                "made": [f"{one.parent} {one.starts_at:%Y-%m-%d}" for one in made],
                "planned": [f"{one.parent} {one.starts_at:%Y-%m-%d}" for one in planned],
                "unexpected_rows": {alarm.parent: alarm.rows for alarm in alarms},
                "is_busy": is_busy,
            }
            self.stdout.write(json.dumps(report))
        else:
            for one in planned:
                self.stdout.write(f"missing {one.parent} from {one.starts_at:%Y-%m-%d}")
            self.stdout.write("Another process is at it." if is_busy else f"{len(made)} partitions made.")
        for alarm in alarms:
            self.stderr.write(
                f"ALARM {alarm.parent}: {alarm.rows} rows in the default partition. Their time is older or later than"
                " any partition: find out who writes them."
            )
        if alarms:
            raise SystemExit(ALARM)
