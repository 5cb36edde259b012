"""Drops and deletes what is no longer kept. Example: `manage.py retention --dry-run`."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from paid import retention
from paid.lib import partitions


class Command(BaseCommand):
    help = (
        "Detach and drop whole partitions whose time is over (run logs after 90 days, the ledger after a year; daily"
        " sums and the audit log stay), and delete rows that are over: commands delivered, workflows ended, webhooks"
        " settled and API requests answered 30 days ago, expired sessions. Harmless to repeat. Exit code 1: a partition"
        " is in use and stays for the next run; all the rest is done. Example: manage.py retention --dry-run --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be dropped, and drop nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        say = (lambda _: None) if options["json"] else self.stdout.write
        dropped: list[partitions.Expired] = []
        in_use = None
        with partitions.alone() as is_alone:
            plan = partitions.expired() if is_alone else []
            for one in plan:
                say(f"to drop {one.name}: about {one.estimated_rows} rows, {one.bytes} bytes")
            if plan and not options["dry_run"]:
                dropped, in_use = partitions.gather(partitions.drop_expired(), lambda one: say(f"dropped {one.name}"))
        rows = list(retention.over() if options["dry_run"] else retention.forget())
        if options["json"]:
            report = {
                "dropped": [one.name for one in dropped],
                "planned": [one.name for one in plan],
                "in_use": list(in_use.names) if in_use else [],
                "rows": {one.table: one.rows for one in rows},
                "is_busy": not is_alone,
            }
            self.stdout.write(json.dumps(report))
        else:
            for forgotten in rows:
                say(f"{'to delete' if options['dry_run'] else 'deleted'} {forgotten.rows} rows of {forgotten.table}")
            told = f"{len(dropped)} of {len(plan)} partitions dropped."
            say(told if is_alone else "Another process is at the partitions.")
        if in_use is not None:
            raise CommandError(str(in_use)) from in_use
