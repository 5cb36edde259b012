"""`manage.py up`: everything on this machine, under one log, until Ctrl-C."""

import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from paid.stack import embedded, programs
from paid.stack.embedded import ServerError
from paid.stack.launch import (
    Stack,
    StackError,
    StopRequestedError,
    claim,
    kill_on_signals,
    missing_over_http,
    stop_on_signals,
)
from paid.stack.lock import AlreadyRunningError, StackLock

EXIT_FAILED, EXIT_ALREADY_RUNNING, EXIT_PORT_BUSY = 1, 3, 4


class Command(BaseCommand):
    help = (
        "Start Paid on this machine: PostgreSQL, Valkey and Temporal (unless DATABASE_URL with DATABASE_OWNER_URL, "
        "REDIS_URL or TEMPORAL_ADDRESS name yours), web, gateway, workers. Ctrl-C stops everything. "
        "Example: PORT=8080 manage.py up"
    )
    # The database that the checks would look at is not there yet.
    requires_system_checks = ()

    def handle(self, *_args: Any, **_options: Any) -> None:
        began = time.monotonic()
        lock = StackLock(settings.STATE_DIR)
        try:
            lock.acquire(port=settings.PORT)
        except AlreadyRunningError as error:
            raise CommandError(f"{error} {_what_to_do(error)}", returncode=EXIT_ALREADY_RUNNING) from None
        if not embedded.port_is_free(settings.PORT):
            raise CommandError(
                f"Port {settings.PORT} is taken by another program. Stop it, or choose another: PORT=8080 make up",
                returncode=EXIT_PORT_BUSY,
            )
        environment, wanted = claim()
        stack = Stack(settings.BASE_DIR, settings.STATE_DIR, environment, sys.stdout)
        stop_on_signals()
        try:
            stack.start_servers(wanted)
            email, password = stack.prepare_database()
            stack.wait_for_servers()
            stack.start_programs(programs.everything(settings.PORT, settings.STATE_DIR))
            stack.wait_until(lambda: missing_over_http(f"http://127.0.0.1:{settings.PORT}"))
            self._greet(stack, email, password, time.monotonic() - began)
            while True:
                stack.poll(0.5)
        except StopRequestedError:
            stack.say("stopping")
        except (ServerError, StackError) as error:
            raise CommandError(str(error), returncode=EXIT_FAILED) from None
        finally:
            kill_on_signals(stack)
            stack.stop()
            stack.say("everything is stopped")

    def _greet(self, stack: Stack, email: str, password: str | None, seconds: float) -> None:
        stack.say(f"Paid is up after {seconds:.1f} s")
        stack.say("")
        stack.say(f"    Open    {settings.PUBLIC_URL}")
        stack.say(f"    Login   {email}   {password or '(the password that you chose)'}")
        stack.say(f"    Log     {settings.STATE_DIR / 'log' / 'paid.log'}")
        stack.say("    Stop    Ctrl-C")
        stack.say("")


def _what_to_do(error: AlreadyRunningError) -> str:
    if error.is_demo:
        return f"It performs a demo and has no pages: wait for its end, or stop it (kill {error.holder})."
    is_here = error.port in (None, settings.PORT)
    address = settings.PUBLIC_URL if is_here else f"http://127.0.0.1:{error.port}"
    return f"Open {address}, or stop it with Ctrl-C in its terminal (or kill {error.holder})."
