"""`manage.py sync_models`: language models and their prices into the registry."""

import json
from argparse import ArgumentParser
from dataclasses import asdict
from typing import Any

from django.core.management.base import BaseCommand
from django.db import transaction
from django.utils import timezone

from paid.lib.tenancy import platform
from prompts.registry import read_registry
from prompts.registry_sync import SyncOutcome, sync_registry


class Command(BaseCommand):
    help = (
        "Bring the registry of language models up to date: models, and prices as of the installed package "
        "genai-prices. A price is never changed: a new one starts. Can be run again at any time. "
        "Example: manage.py sync_models --dry-run"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        with platform():
            outcome = sync_registry(registry=read_registry(), now=timezone.now())
            if options["dry_run"]:
                transaction.set_rollback(True)
        if options["json"]:
            self.stdout.write(json.dumps({"dry_run": options["dry_run"], **asdict(outcome)}))
            return
        self._tell(outcome, int(options["verbosity"]))
        if options["dry_run"]:
            self.stdout.write("Dry run: nothing was changed.")

    def _tell(self, outcome: SyncOutcome, verbosity: int) -> None:
        if verbosity > 1:
            for price in outcome.prices_added:
                tier = f" above {price.threshold_tokens:,} tokens" if price.threshold_tokens else ""
                self.stdout.write(f"{price.model} {price.token_class}{tier}: {price.usd_per_million} USD per million")
        for price in outcome.prices_kept:
            self.stdout.write(
                f"{price.model} {price.token_class}: the provider asks {price.usd_per_million} USD per million now; "
                "the price that a person entered stays"
            )
        self.stdout.write(
            f"{len(outcome.models_added)} models added, {len(outcome.models_changed)} changed, "
            f"{len(outcome.prices_added)} prices added, {len(outcome.preferences_added)} preferences added."
        )
