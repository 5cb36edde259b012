"""Paid on one machine, from nothing to "all is up" and back: what `manage.py up` and `manage.py demo` share."""

import json
import os
import signal
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from pathlib import Path
from types import FrameType
from typing import IO, NoReturn

from django.conf import settings

from agent_runs.supervisor import stop_all
from paid.stack import embedded, prepare, programs
from paid.stack.environment import Embedded, StackEnvironment, restarted_environment
from paid.stack.process import Program
from paid.stack.supervisor import Supervisor

HEALTH_SECONDS = 90.0


class StackError(Exception):
    """Paid could not be started."""


class Stack:
    """The servers and processes that this command started. `stop` may be called at any point, and twice."""

    def __init__(self, base: Path, state_directory: Path, environment: StackEnvironment, console: IO[str]) -> None:
        self._base = base
        self._state = state_directory
        self._environment = environment
        self._servers: list[embedded.Server] = []
        child_environment = {**os.environ, "PYTHONUNBUFFERED": "1", "PAID_STATE_DIR": str(state_directory)}
        log = state_directory / "log" / "paid.log"
        self.supervisor = Supervisor(base, log, child_environment, console, prepare.close_connections)
        self.say = self.supervisor.say

    def start_servers(self, wanted: Embedded) -> None:
        """Start PostgreSQL, Valkey and Temporal side by side, as far as the operator gave none."""
        began = time.monotonic()
        values, logs = self._environment.values, self._state / "log"
        # The two that answer at once first: making a new PostgreSQL cluster takes a second.
        if wanted.temporal:
            self.say("starting Temporal (development server)")
            port = int(values["TEMPORAL_PORT"])
            self._add(embedded.start_temporal(self._state / "temporal", logs / "temporal.log", port=port))
        if wanted.valkey:
            self.say("starting Valkey")
            port, password = int(values["REDIS_PORT"]), values["REDIS_PASSWORD"]
            log = logs / "valkey.log"
            self._add(embedded.start_valkey(self._state / "valkey", log, port=port, password=password))
        if wanted.postgresql:
            self.say("starting PostgreSQL")
            server = embedded.start_postgresql(
                self._state / "postgresql",
                logs / "postgresql.log",
                port=int(values["POSTGRES_PORT"]),
                superuser_password=values["POSTGRES_PASSWORD"],
                settings=embedded.archiving(Path(settings.WAL_ARCHIVE)) if settings.WAL_ARCHIVE else {},
            )
            self._add(server)
            server.wait_until_ready()
            if prepare.initialise_server(self._environment, self._base / "init-db.sql"):
                self.say("created roles and databases (init-db.sql)")
        self.say(f"servers are up ({time.monotonic() - began:.1f} s)")

    def prepare_database(self) -> tuple[str, str | None]:
        """Migrate and seed; the first login (e-mail address, generated password or None when it was changed)."""
        applied = prepare.migrate()
        self.say(f"applied {applied} migrations" if applied else "the tables are up to date")
        prepare.seed(self.say, self._state / "seeded.sha256", is_forced=applied > 0)
        login = prepare.first_login(self._environment.values["PAID_FIRST_PASSWORD"])
        prepare.close_connections()
        return login

    def wait_for_servers(self) -> None:
        for server in self._servers:
            server.wait_until_ready()

    def start_programs(self, wanted: tuple[Program, ...]) -> None:
        self.say("starting " + ", ".join(program.name for program in wanted))
        for program in wanted:
            self.supervisor.start(program)

    def wait_until(self, is_healthy: Callable[[], str]) -> None:
        """Until `is_healthy` names nothing that is missing any more; StackError says what still is."""
        deadline = time.monotonic() + HEALTH_SECONDS
        while missing := is_healthy():
            if time.monotonic() > deadline:
                log = self._state / "log" / "paid.log"
                raise StackError(f"Not everything came up in {HEALTH_SECONDS:.0f} s: {missing}. See {log}.")
            self.poll(0.1)

    def poll(self, timeout_seconds: float) -> None:
        self.supervisor.poll(timeout_seconds)
        self.check_servers()

    def check_servers(self) -> None:
        """A database that dies takes everything with it: better to stop and say so than to limp on."""
        for server in self._servers:
            if server.process.poll() is not None:
                raise StackError(f"{server.name} ended unexpectedly; its log is {server.log}")

    def stop(self) -> None:
        self.supervisor.stop_stage(programs.STOP_WEB)
        self.supervisor.stop_stage(programs.STOP_WORKERS)
        # Agents live outside the workers' process tree on purpose; here everything is to end.
        for run_directory in stop_all(str(settings.RUNS_DIR), "Paid was stopped"):
            self.say(f"the agent of {run_directory} did not stop")
        self.supervisor.stop()
        for server in reversed(self._servers):
            server.process.send_signal(server.stop_signal) if server.process.poll() is None else None
        while self._servers:
            self._servers.pop().stop()

    def kill(self) -> None:
        """For who cannot wait: everything that this command started, at once."""
        self.supervisor.kill()
        for server in self._servers:
            server.process.kill()

    def _add(self, server: embedded.Server) -> None:
        self._servers.append(server)


def missing_over_http(url: str) -> str:
    """What `/healthz` at `url` says is missing; empty when everything answers."""
    try:
        with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:  # noqa: S310 - our own address
            return "" if answer.status == 200 else f"/healthz answers {answer.status}"
    except urllib.error.HTTPError as error:
        return _failing_parts(error)
    except OSError:
        return "the web process does not answer"


def _failing_parts(error: urllib.error.HTTPError) -> str:
    try:
        checks = json.loads(error.read())["checks"]
    except (ValueError, KeyError, TypeError):
        return f"/healthz answers {error.code}"
    return ", ".join(f"{name}: {state}" for name, state in checks.items() if state != "ok")


def claim() -> tuple[StackEnvironment, Embedded]:
    """Settle addresses and secrets, and which servers are ours to start; the caller holds the lock.

    When something has to change, this process is replaced by itself: its settings were read before stack.env
    said what it says now.
    """
    environment = StackEnvironment.read(settings.STATE_DIR)
    former = dict(environment.values)
    wanted = environment.embedded()
    if environment.complete():
        environment.write()
        sys.stdout.flush()
        sys.stderr.flush()
        argv = [sys.executable, *sys.orig_argv[1:]]
        os.execve(sys.executable, argv, restarted_environment(former))  # noqa: S606 - our own argv
    return environment, wanted


class StopRequestedError(Exception):
    """Ctrl-C or SIGTERM."""


def stop_on_signals() -> None:
    def stop(_number: int, _frame: FrameType | None) -> NoReturn:
        raise StopRequestedError

    signal.signal(signal.SIGINT, stop)
    signal.signal(signal.SIGTERM, stop)


def kill_on_signals(stack: Stack) -> None:
    """While it is being stopped, a second Ctrl-C ends the waiting."""

    def kill(_number: int, _frame: FrameType | None) -> None:
        stack.kill()

    signal.signal(signal.SIGINT, kill)
    signal.signal(signal.SIGTERM, kill)
