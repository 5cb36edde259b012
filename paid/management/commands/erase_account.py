"""Erases a deleted account. Example: `manage.py erase_account northwind --dry-run`."""

import getpass
import json
from argparse import ArgumentParser
from typing import Any

from django.core.management.base import BaseCommand, CommandError
from django.db import OperationalError

from paid import erasure


class Command(BaseCommand):
    help = (
        "Delete every row of an account, in every table and partition, and show that none is left. It cannot be undone;"
        " backups keep what they hold, and files of its runs stay on the hosts that ran them. Needs DATABASE_OWNER_URL."
        " Exit code 1 when it is refused or a row is left. Example: manage.py erase_account northwind --dry-run"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("slug", help="the account, as in its address /a/SLUG/")
        parser.add_argument("--id", type=int, help="its number, where an erased account had the same slug before it")
        parser.add_argument("--confirm", metavar="SLUG", help="the slug again: without it nothing is deleted")
        parser.add_argument("--dry-run", action="store_true", help="say what would be deleted, and delete nothing")
        parser.add_argument("--json", action="store_true", help="one JSON object on standard output")

    def handle(self, *args: Any, **options: Any) -> None:
        say = (lambda _: None) if options["json"] else self.stdout.write
        try:
            plan, deleted = erasure.plan(options["slug"], options["id"]), {}
            if not options["dry_run"]:
                self._confirm(plan, options["confirm"])
                deleted = erasure.erase(plan, actor=f"{getpass.getuser()} (manage.py)", say=say)
        except erasure.ErasureError as error:
            raise CommandError(str(error)) from error
        except OperationalError as error:
            raise CommandError(f"{error}\nThe owner of the tables erases: see DATABASE_OWNER_URL.") from error
        self._report(plan, deleted, options)

    def _confirm(self, plan: erasure.Plan, confirmed: str | None) -> None:
        if confirmed != plan.slug:
            gone = f"{plan.slug} is gone, its id was {plan.account_id}. " if plan.is_account_gone else ""
            raise CommandError(
                f"{gone}This deletes {plan.total} rows of {plan.name} for ever. Look at --dry-run, then add --confirm"
                f" {plan.slug}."
            )

    def _report(self, plan: erasure.Plan, deleted: dict[str, int], options: dict[str, Any]) -> None:
        rows = {table: count for table, count in plan.rows.items() if count} if options["dry_run"] else deleted
        alone = erasure.users_without_account()
        if options["json"]:
            report = {"account_id": plan.account_id, "rows": rows, "is_erased": not options["dry_run"]}
            self.stdout.write(json.dumps(report | {"users_without_account": alone}))
            return
        if options["dry_run"]:
            for table, count in rows.items():
                self.stdout.write(f"{table}: {count} rows would be deleted")
        else:
            self.stdout.write(f"{sum(rows.values())} rows deleted; none is left in {len(plan.rows)} tables.")
        self.stdout.write(f"{alone} people belong to no account.")
