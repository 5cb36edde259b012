"""`manage.py gateway`: serve the only way from a sandbox to a language model."""

from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from metrics.gateway.server import GatewayCannotStart, serve


class Command(BaseCommand):
    help = (
        "Serve the LLM gateway on its Unix socket, and on GATEWAY_BIND if set. One per worker host. "
        "Example: manage.py gateway --socket /run/paid/gateway.sock"
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--socket", type=Path, default=settings.GATEWAY_SOCKET, help="path of the Unix socket")
        parser.add_argument("--bind", default=settings.GATEWAY_BIND, help="TCP address as host:port, for containers")

    def handle(self, *_args: Any, **options: Any) -> None:
        try:
            serve(options["socket"], options["bind"])
        except GatewayCannotStart as error:
            raise CommandError(str(error)) from error
