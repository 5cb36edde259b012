"""`manage.py rebuild_rollups`: prove that the sums behind the pages equal the rows, and mend those that do not."""

import json
import sys
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Account
from metrics.rollups import Drift, compare, fold_closed_days, spans
from paid.lib.tenancy import platform

SHOWN = 20


class Command(BaseCommand):
    help = (
        "Compare runs_daily, run_histograms, quality_daily and spend_daily with the rows they sum up, a month of an "
        "account at a time, and set what differs to what the rows say. Needed after rows were loaded with triggers "
        "off; otherwise it proves that nothing differs. Exit code 1 when something differs and was not mended. "
        "Example: manage.py rebuild_rollups --dry-run --json"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="only report, change nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")
        parser.add_argument("--account", metavar="SLUG", help="only this account")

    def handle(self, *_args: Any, **options: Any) -> None:
        is_dry_run = bool(options["dry_run"])
        months = spans(_account_id(options["account"]))
        found: list[Drift] = []
        for done, span in enumerate(months):
            self._progress(f"{done} of {len(months)} months, account {span.account_id}, {span.since:%B %Y}")
            found += compare(span, is_dry_run=is_dry_run)
        self._progress("")
        folded = 0 if is_dry_run else fold_closed_days()
        if options["json"]:
            report = {"is_equal": not found, "is_mended": bool(found) and not is_dry_run, "months": len(months)}
            self.stdout.write(json.dumps(report | {"folded_rows": folded, "sums": [one.as_dict() for one in found]}))
        else:
            self._report(found, len(months), is_dry_run=is_dry_run, folded=folded)
        if found and is_dry_run:
            raise SystemExit(1)

    def _progress(self, text: str) -> None:
        if sys.stderr.isatty():
            self.stderr.write(f"\r\033[K{text}", ending="")

    def _report(self, found: list[Drift], months: int, *, is_dry_run: bool, folded: int) -> None:
        if folded:
            self.stdout.write(f"Folded closed days: {folded} rows fewer.")
        if not found:
            self.stdout.write(self.style.SUCCESS(f"Every sum equals its rows ({months} months)."))
            return
        for one in found[:SHOWN]:
            self.stdout.write(
                f"{one.day} account {one.account_id} {one.rollup} {one.dimension} {one.subject}: rows "
                f"{_numbers(one.raw)}, kept {_numbers(one.kept)}"
            )
        if len(found) > SHOWN:
            self.stdout.write(f"… and {len(found) - SHOWN} more (--json has all).")
        ending = "Nothing was changed: run it without --dry-run." if is_dry_run else "All of them are mended."
        self.stdout.write(self.style.WARNING(f"{len(found)} sums differ. {ending}"))


def _account_id(slug: str | None) -> int | None:
    if slug is None:
        return None
    with platform():
        found = Account.objects.filter(slug=slug).values_list("pk", flat=True).first()
    if found is None:
        raise CommandError(f"There is no account {slug}. Give the word that stands behind /a/ in its pages' addresses.")
    return found


def _numbers(sums: Any) -> str:
    return "none" if sums is None else " ".join(f"{number:f}" for number in sums)
