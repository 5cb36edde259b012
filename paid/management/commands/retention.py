"""Drops and deletes what is no longer kept. Example: `manage.py retention --dry-run`."""

import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand

from paid import retention
from paid.lib import partitions


class Command(BaseCommand):
    help = (
        "Detach and drop whole partitions whose time is over (run logs after 90 days, the ledger after a year; daily"
        " sums and the audit log stay), and delete rows that are over: commands delivered, workflows ended, webhooks"
        " and gateway calls settled 30 days ago, expired sessions. Harmless to repeat."
        " Example: manage.py retention --dry-run --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be dropped, and drop nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        verb = "would drop" if options["dry_run"] else "dropped"
        plan = []
        with partitions.alone() as is_alone:
            if is_alone:
                for one in partitions.expired() if options["dry_run"] else partitions.drop_expired():
                    plan.append(one)
                    if not options["json"]:
                        self.stdout.write(f"{verb} {one.name}: about {one.estimated_rows} rows, {one.bytes} bytes")
        rows = list(retention.over() if options["dry_run"] else retention.forget())
        if options["json"]:
            report = {
                "dropped": [] if options["dry_run"] else [one.name for one in plan],
                "planned": [one.name for one in plan] if options["dry_run"] else [],
                "rows": {one.table: one.rows for one in rows},
                "is_busy": not is_alone,
            }
            self.stdout.write(json.dumps(report))
            return
        for forgotten in rows:
            self.stdout.write(f"{verb} {forgotten.rows} rows of {forgotten.table}")
        if not is_alone:
            self.stdout.write("Another process is at the partitions.")
        else:
            self.stdout.write(f"{len(plan)} partitions {'would be ' if options['dry_run'] else ''}dropped.")
