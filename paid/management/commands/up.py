"""`manage.py up`: everything on this machine, under one log, until Ctrl-C."""

import signal
import sys
import time
from types import FrameType
from typing import Any, NoReturn

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError

from paid.stack import embedded, programs
from paid.stack.embedded import ServerError
from paid.stack.environment import StackEnvironment, restarted_environment
from paid.stack.launch import Stack, StackError, restart_with_new_settings
from paid.stack.lock import AlreadyRunningError, StackLock
from paid.stack.supervisor import Program

EXIT_FAILED, EXIT_ALREADY_RUNNING, EXIT_PORT_BUSY = 1, 3, 4


class StopRequestedError(Exception):
    """Ctrl-C or SIGTERM."""


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
            lock.acquire()
        except AlreadyRunningError as error:
            raise CommandError(
                f"{error} Open {settings.PUBLIC_URL}, or stop it with Ctrl-C in its terminal (or kill {error.holder}).",
                returncode=EXIT_ALREADY_RUNNING,
            ) from None
        if not embedded.port_is_free(settings.PORT):
            raise CommandError(
                f"Port {settings.PORT} is taken by another program. Stop it, or choose another: PORT=8080 make up",
                returncode=EXIT_PORT_BUSY,
            )
        environment = StackEnvironment.read(settings.STATE_DIR)
        former = dict(environment.values)
        wanted = environment.embedded()
        if environment.complete():
            environment.write()
            restart_with_new_settings(restarted_environment(former))
        stack = Stack(settings.BASE_DIR, settings.STATE_DIR, environment, sys.stdout)
        self._stop_on_signals()
        try:
            stack.start_servers(wanted)
            email, password = stack.prepare_database()
            stack.wait_for_servers()
            stack.start_programs(_programs())
            stack.wait_until_healthy(f"http://127.0.0.1:{settings.PORT}")
            self._greet(stack, email, password, time.monotonic() - began)
            while True:
                stack.supervisor.poll(0.5)
                stack.check_servers()
        except StopRequestedError:
            stack.say("stopping")
        except (ServerError, StackError) as error:
            raise CommandError(str(error), returncode=EXIT_FAILED) from None
        finally:
            _kill_on_second_signal(stack)
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

    @staticmethod
    def _stop_on_signals() -> None:
        def stop(_number: int, _frame: FrameType | None) -> NoReturn:
            raise StopRequestedError

        signal.signal(signal.SIGINT, stop)
        signal.signal(signal.SIGTERM, stop)


def _kill_on_second_signal(stack: Stack) -> None:
    def kill(_number: int, _frame: FrameType | None) -> None:
        stack.kill()

    signal.signal(signal.SIGINT, kill)
    signal.signal(signal.SIGTERM, kill)


def _programs() -> tuple[Program, ...]:
    return (
        programs.web(settings.PORT),
        programs.gateway(),
        programs.scripted_model(),
        programs.celery(settings.STATE_DIR),
    )
