"""Seals every stored secret under the newest key. Example: `manage.py rotate_encryption_keys --dry-run`."""

import json
import sys
from argparse import ArgumentParser, RawDescriptionHelpFormatter
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from paid.lib import key_rotation
from paid.lib.encryption import EncryptionError, ring

REMAINING = 1
SHOWN = 20


class Command(BaseCommand):
    help = (
        "Seal every stored token, provider key and webhook secret under the first key of ENCRYPTION_KEYS, while Paid\n"
        "runs. It can be stopped at any time and goes on where it stopped.\n\n"
        "  1. Put the new key in front: ENCRYPTION_KEYS=new:…,old:…  (on several hosts first behind, then in front)\n"
        "     and restart every process.\n"
        "  2. manage.py rotate_encryption_keys\n"
        "  3. Exit code 0 says that every secret opens with the first key alone: take the old key out and restart.\n"
        "     Keep it with the backups that were made before: their secrets need it.\n\n"
        "Exit codes: 0 every secret is under the first key; 1 some are not, and are named.\n"
        "Example: manage.py rotate_encryption_keys --dry-run --json"
    )

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("--dry-run", action="store_true", help="say how many each key sealed, and change nothing")
        parser.add_argument("--batch", type=int, default=key_rotation.BATCH, help="rows in one transaction")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        if options["batch"] < 1:
            raise CommandError("--batch must be at least 1.")
        try:
            first = ring().keys[0][0]
        except EncryptionError as error:
            raise CommandError(str(error)) from None
        before = {str(place): dict(key_rotation.by_key(place)) for place in key_rotation.places()}
        if options["dry_run"]:
            self._plan(first, before, options["json"])
            return
        resealed = self._rotate(first, before, options["batch"])
        remaining = key_rotation.remaining(lambda place: self._say(f"checking {place} with {first!r} alone"))
        self._report(first, before, resealed, remaining, options["json"])
        if remaining:
            sys.exit(REMAINING)

    def _plan(self, first: str, before: dict[str, dict[str, int]], is_json: bool) -> None:
        if is_json:
            self.stdout.write(json.dumps({"key": first, "sealed_by": before}))
            return
        for place, keys in before.items():
            told = ", ".join(f"{count} by {key_id!r}" for key_id, count in sorted(keys.items())) or "nothing stored"
            self.stdout.write(f"{place:<30} {told}")
        others = sum(count for keys in before.values() for key_id, count in keys.items() if key_id != first)
        self.stdout.write(f"{others} secrets would be sealed anew under {first!r}.")

    def _rotate(self, first: str, before: dict[str, dict[str, int]], batch: int) -> dict[str, int]:
        resealed = dict.fromkeys(before, 0)
        for step in key_rotation.rotate(batch=batch):
            place = str(step.place)
            resealed[place] += step.resealed
            wanted = sum(count for key_id, count in before[place].items() if key_id != first)
            self._say(f"{place}: {resealed[place]} of {wanted} sealed anew")
        return resealed

    def _report(
        self,
        first: str,
        before: dict[str, dict[str, int]],
        resealed: dict[str, int],
        remaining: list[key_rotation.Unopened],
        is_json: bool,
    ) -> None:
        for one in remaining[:SHOWN]:
            self.stderr.write(f"NOT under {first!r}: {one.place} of row {one.pk}. {one.reason}")
        if len(remaining) > SHOWN:
            self.stderr.write(f"… and {len(remaining) - SHOWN} more: see --json")
        if is_json:
            named = [{"place": str(one.place), "id": one.pk, "reason": one.reason} for one in remaining]
            report = {"key": first, "sealed_by_before": before, "resealed": resealed, "remaining": named}
            self.stdout.write(json.dumps(report))
        elif remaining:
            self.stdout.write(f"{len(remaining)} secrets do not open with {first!r} alone: keep the other keys.")
        else:
            self.stdout.write(
                f"{sum(resealed.values())} secrets sealed anew. Every secret opens with {first!r} alone:"
                " the other keys can be taken out of ENCRYPTION_KEYS."
            )

    def _say(self, text: str) -> None:
        if self.stderr.isatty():
            self.stderr.write(text)
