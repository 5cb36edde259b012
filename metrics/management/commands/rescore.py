"""Score finished runs again, after the weights of quality have changed."""

import json
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account
from metrics.quality.operations import rescore
from paid.lib.tenancy import platform


class Command(BaseCommand):
    help = (
        "Score all runs of an account again with today's weights.\n\n"
        "  manage.py rescore acme --dry-run\n  manage.py rescore acme --json"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.formatter_class = RawDescriptionHelpFormatter
        parser.add_argument("account", help="slug of the account")
        parser.add_argument("--dry-run", action="store_true", help="say how many scores would change")
        parser.add_argument("--json", action="store_true", help="print the result as one JSON object")

    def handle(self, *_: Any, **options: Any) -> None:
        with platform():
            account = Account.objects.filter(slug=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account with the slug “{options['account']}”.")
        tell = self._tell if self.stderr.isatty() else None
        runs, changed = rescore(account_id=account.pk, is_dry_run=options["dry_run"], tell=tell)
        if options["json"]:
            self.stdout.write(json.dumps({"runs": runs, "changed": changed, "dry_run": options["dry_run"]}))
            return
        would = "would change" if options["dry_run"] else "changed"
        self.stdout.write(f"{runs:,} runs scored; {changed:,} scores {would}.")

    def _tell(self, done: int, total: int) -> None:
        self.stderr.write(f"\r{done:,} of {total:,}", ending="" if done < total else "\n")
