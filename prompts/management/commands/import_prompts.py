"""`manage.py import_prompts`: files as prompts of an account."""

import json
import sys
from argparse import ArgumentParser
from dataclasses import asdict
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from accounts.models import Account
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID, platform, tenant
from prompts.exchange import FilesRefused, Imported, ImportOutcome, import_files

CONFLICTS = 3


class Command(BaseCommand):
    help = (
        "Bring the files of a directory into an account as prompts. A text that no version has becomes a new version, "
        "and is in use where the file was written from the version in use, or that came from a file, too. A person's "
        "edit stays in use: the file's text is kept beside it, and told as a conflict. All files are imported, or "
        "none. Exit code 0: all is in use; 1: files are wrong, nothing was imported; 3: there are conflicts. "
        "Example: manage.py import_prompts prompts/ --account acme --dry-run"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="*.md below it, as export_prompts writes them")
        parser.add_argument("--account", required=True, metavar="SLUG", help="whose prompts")
        parser.add_argument("--dry-run", action="store_true", help="say what would be done, change nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        directory: Path = options["directory"]
        if not directory.is_dir():
            raise CommandError(f"{directory} is not a directory.")
        with platform():
            account = Account.objects.filter(slug=options["account"]).first()
        if account is None:
            raise CommandError(f"There is no account {options['account']}.")
        with platform() if account.pk == GLOBAL_ACCOUNT_ID else tenant(account.pk):
            try:
                outcomes = import_files(account_id=account.pk, directory=directory)
            except FilesRefused as error:
                raise CommandError(f"Nothing was imported.\n{error}") from error
            if options["dry_run"]:
                transaction.set_rollback(True)
        self._tell(outcomes, is_dry=options["dry_run"], is_json=options["json"])
        if any(outcome.result == Imported.CONFLICT for outcome in outcomes):
            sys.exit(CONFLICTS)

    def _tell(self, outcomes: list[ImportOutcome], *, is_dry: bool, is_json: bool) -> None:
        if is_json:
            shown = {"dry_run": is_dry, "prompts": [asdict(outcome) for outcome in outcomes]}
            self.stdout.write(json.dumps(shown))
            return
        for outcome in outcomes:
            self.stdout.write(f"{outcome.path}: {_words(outcome)}")
        if not outcomes:
            self.stdout.write("There is no *.md file: nothing to do.")
        if is_dry:
            self.stdout.write("Dry run: nothing was changed.")


def _words(outcome: ImportOutcome) -> str:
    if outcome.result == Imported.CONFLICT:
        stays = "the prompt is out of use" if outcome.in_use is None else f"version {outcome.in_use} stays in use"
        return f"CONFLICT: it is version {outcome.version}, but {stays}: a person's. Compare, then promote one"
    return f"{outcome.result}, version {outcome.in_use} is in use"
