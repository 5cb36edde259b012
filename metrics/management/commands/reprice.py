"""`manage.py reprice`: price the calls whose model had no price when they were made."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from metrics.repricing import RepricedModel, reprice

PROGRESS_EVERY = 100


class Command(BaseCommand):
    help = (
        "Price the calls that the ledger holds as unpriced, with the prices of the moment of each call, by rows of "
        "their own. A model needs a price that starts at its first call or before: enter it in the admin, then run "
        "this. Can be run twice. Exit code 1 when calls stay unpriced. Example: manage.py reprice --dry-run"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only report, book nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        models = reprice(is_dry_run=options["dry_run"], progress=self._progress if self.stderr.isatty() else None)
        if options["json"]:
            report = {"is_dry_run": options["dry_run"], "models": [model.as_dict() for model in models]}
            self.stdout.write(json.dumps(report))
        else:
            self._report(models, verb="would be priced" if options["dry_run"] else "priced")
        if any(model.left_calls for model in models):
            raise SystemExit(1)

    def _report(self, models: list[RepricedModel], *, verb: str) -> None:
        if not models:
            self.stdout.write(self.style.SUCCESS("Every call has its price."))
        for model in models:
            name = f"account {model.account_id} {model.model_name}"
            if model.priced_calls:
                self.stdout.write(f"{name}: {model.priced_calls} calls {verb} at {model.priced_usd} USD")
            if model.left_calls and model.first_at:
                self.stdout.write(
                    self.style.WARNING(
                        f"{name}: {model.left_calls} calls ({model.left_tokens} tokens) stay unpriced. Enter prices "
                        f"that start at {model.first_at:%Y-%m-%d %H:%M} UTC or before."
                    )
                )

    def _progress(self, seen: int) -> None:
        if seen % PROGRESS_EVERY == 0:
            self.stderr.write(f"\r{seen} calls", ending="")
            self.stderr.flush()
