"""`manage.py scripted_model`: serve the scripted model of the demo and the tests."""

from typing import Any
from urllib.parse import urlsplit

import uvicorn
from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from metrics.scripted_model.app import ScriptedModel

LOOPBACK = {"127.0.0.1", "localhost", "::1"}


class Command(BaseCommand):
    help = (
        "Serve the scripted model: a stand-in for an LLM provider that speaks the Anthropic Messages API "
        "and plays the demo's coding agent. Example: manage.py scripted_model --delay 0.05"
    )
    # It has no database and must start before there is one.
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--url", default=settings.SCRIPTED_MODEL_URL, help="where to listen (loopback only)")
        parser.add_argument(
            "--delay",
            type=float,
            default=settings.SCRIPTED_MODEL_DELAY_SECONDS,
            help="seconds between two pieces of an answer",
        )

    def handle(self, *_args: Any, **options: Any) -> None:
        address = urlsplit(options["url"])
        if address.scheme != "http" or address.hostname not in LOOPBACK:
            raise CommandError(
                f"The scripted model listens on loopback only; {options['url']} is not such an address. "
                "Set SCRIPTED_MODEL_URL to http://127.0.0.1:PORT."
            )
        uvicorn.run(
            ScriptedModel(delay_seconds=options["delay"], gate=settings.SCRIPTED_MODEL_GATE),
            host=address.hostname,
            port=address.port or 80,
            log_level="warning",
            timeout_graceful_shutdown=2,
        )
