"""`manage.py open_first_account`: the first login of an installation that `make up` did not make."""

import getpass
import sys
from argparse import ArgumentParser
from typing import Any

from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import ValidationError
from django.core.management.base import BaseCommand, CommandError

from accounts.operations import open_first_account


class Command(BaseCommand):
    help = (
        "Make the first user, staff of the host and owner of a first account; refused when there is one. Asks for the"
        " password, or reads it as one line from standard input. Example: manage.py open_first_account you@example.com"
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("email")
        parser.add_argument("--name", default="My team", help="what the account is called")
        parser.add_argument("--slug", default="team", help="its part of the pages' addresses")

    def handle(self, *args: Any, **options: Any) -> None:
        # Never an argument: those show in the process list.
        password = getpass.getpass() if sys.stdin.isatty() else sys.stdin.readline().rstrip("\n")
        try:
            validate_password(password)
        except ValidationError as error:
            raise CommandError(" ".join(error.messages)) from None
        email = options["email"]
        user = open_first_account(name=options["name"], slug=options["slug"], email=email, password=password)
        if user is None:
            raise CommandError("There is a user already. Staff add further ones under /admin/.")
        self.stdout.write(f"{user.email} may sign in.")
