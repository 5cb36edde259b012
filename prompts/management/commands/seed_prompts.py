"""`manage.py seed_prompts`: the prompts that every installation begins with."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction

from paid.lib.tenancy import platform
from prompts.files import seed_files
from prompts.seeding import Seeded, seed_prompt, seed_style_guide

EXPLANATIONS = {
    Seeded.CREATED: "created",
    Seeded.UPDATED: "new version, current",
    Seeded.UNCHANGED: "unchanged",
    Seeded.OFFERED: "new version, not current: a person has changed this prompt; compare and promote it if you like",
}


class Command(BaseCommand):
    help = (
        "Write the prompts that come with Paid into the global account, as new versions. What a person has changed "
        "stays current. Can be run again at any time. Example: manage.py seed_prompts --dry-run"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        with platform():
            outcomes = [seed_style_guide(), *(seed_prompt(file) for file in seed_files())]
            if options["dry_run"]:
                transaction.set_rollback(True)
        if options["json"]:
            shown = [asdict(outcome) for outcome in outcomes]
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], "prompts": shown}))
            return
        for outcome in outcomes:
            self.stdout.write(f"{outcome.slug}: version {outcome.version}, {EXPLANATIONS[outcome.result]}")
        if options["dry_run"]:
            self.stdout.write("Dry run: nothing was changed.")
