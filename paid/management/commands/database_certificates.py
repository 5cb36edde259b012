"""Makes what PostgreSQL needs for TLS. Example: `manage.py database_certificates /etc/paid/tls --name db.internal`."""

from argparse import ArgumentParser, ArgumentTypeError, RawDescriptionHelpFormatter
from pathlib import Path
from typing import Any

from django.core.management.base import BaseCommand, CommandError

from paid.stack import certificates
from paid.stack.certificates import CertificateError, Owner


def owner(text: str) -> Owner:
    uid, _, gid = text.partition(":")
    if not (uid.isdigit() and gid.isdigit()):
        raise ArgumentTypeError(f"{text!r} is not UID:GID, such as 999:999")
    return Owner(int(uid), int(gid))


class Command(BaseCommand):
    help = (
        "Make a private authority and a certificate of it for one PostgreSQL server, below DIRECTORY:\n"
        "  server/server.key, server/server.crt   ssl_key_file and ssl_cert_file\n"
        "  public/ca.crt                          sslrootcert of each client, with sslmode=verify-full\n"
        "  authority/ca.key                       signs the next one: keep it from everybody\n"
        "What is there and lasts another year is left alone. After a renewal reload or restart the server.\n\n"
        "Example:\n"
        "  manage.py database_certificates /etc/paid/tls --name db.internal --name 10.0.0.7 --owner 999:999"
    )
    # It runs before there is a database, a key or an address.
    requires_system_checks = ()

    def create_parser(self, prog_name: str, subcommand: str, **kwargs: Any) -> Any:
        return super().create_parser(prog_name, subcommand, formatter_class=RawDescriptionHelpFormatter, **kwargs)

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("directory", type=Path)
        parser.add_argument(
            "--name", action="append", required=True, help="a host name or IP address that clients ask for; repeat it"
        )
        parser.add_argument("--owner", type=owner, metavar="UID:GID", help="whom the server runs as")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            is_new = certificates.make(options["directory"], options["name"], options["owner"])
        except (CertificateError, OSError, ValueError) as error:
            raise CommandError(str(error)) from None
        names = ", ".join(options["name"])
        self.stdout.write(f"made a certificate for {names}" if is_new else f"the certificate for {names} lasts")
