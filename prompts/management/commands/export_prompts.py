"""`manage.py export_prompts`: an account's prompts as files."""

import json
from argparse import ArgumentParser
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from accounts.models import Account
from paid.lib.tenancy import platform
from prompts.exchange import exported_files, write_file
from prompts.files import PromptFileError


class Command(BaseCommand):
    help = (
        "Write the prompts of an account that are in use as files, to keep them in git: front matter, template and "
        "system prompt. The host's own are those of the account `global`. Other files in the directory stay. "
        "Example: manage.py export_prompts prompts/ --account acme"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path, help="where the files go; made where it is missing")
        parser.add_argument("--account", required=True, metavar="SLUG", help="whose prompts")
        parser.add_argument("--dry-run", action="store_true", help="say what would be written, write nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        directory: Path = options["directory"]
        with platform():
            account = Account.objects.filter(slug=options["account"]).first()
            if account is None:
                raise CommandError(f"There is no account {options['account']}.")
            files = list(exported_files(account.pk))
        written: list[str] = []
        try:
            for path, content in files:
                if options["dry_run"] or write_file(directory, path, content):
                    written.append(str(path))
        except (PromptFileError, OSError) as error:
            raise CommandError(f"Not all files were written: {error}") from error
        if options["json"]:
            shown = {"dry_run": options["dry_run"], "prompts": len(files), "written": written}
            self.stdout.write(json.dumps(shown))
            return
        for name in written:
            self.stdout.write(name)
        kept = len(files) - len(written)
        self.stdout.write(f"{len(written)} files written to {directory}, {kept} were as they should be.")
        if options["dry_run"]:
            self.stdout.write("Dry run: nothing was written.")
