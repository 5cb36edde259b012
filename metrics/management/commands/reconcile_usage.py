"""`manage.py reconcile_usage`: prove that the daily sums and the runs' totals equal the ledger, and mend them."""

import json
from typing import Any

from django.core.management.base import BaseCommand, CommandParser

from metrics.reconciliation import Reconciliation, note_proof, reconcile_usage


class Command(BaseCommand):
    help = (
        "Compare usage_daily and the runs' totals with the ledger, for the months that the ledger still holds; what "
        "dropped months came to stays as it is. What differs is set to the ledger's sums and told; no call waits. "
        "Exit code 1 when something differs and was not mended. "
        "Example: manage.py reconcile_usage --dry-run --json"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only report, change nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *_args: Any, **options: Any) -> None:
        result = reconcile_usage(is_dry_run=options["dry_run"])
        if not options["dry_run"]:
            note_proof(result)
        if options["json"]:
            self.stdout.write(json.dumps(result.as_dict()))
        else:
            self._report(result)
        if not (result.is_equal or result.is_mended):
            raise SystemExit(1)

    def _report(self, result: Reconciliation) -> None:
        if result.is_equal:
            self.stdout.write(self.style.SUCCESS("Every sum equals the ledger."))
        for day in result.days:
            self.stdout.write(
                f"{day.day} account {day.account_id} project {day.project_id} model {day.language_model_id}: "
                f"ledger {day.ledger_usd} USD in {day.ledger_calls} calls, daily sum {day.daily_usd} USD in "
                f"{day.daily_calls}{' (mended)' if result.is_mended else ''}"
            )
        for run in result.runs:
            self.stdout.write(
                f"run {run.run_id}: ledger {run.ledger_usd} USD, on the run {run.run_usd} USD"
                f"{' (mended)' if result.is_mended else ''}"
            )
