"""Paid on one machine, from nothing to "all is up" and back: what `manage.py up` and `manage.py demo` share."""

import json
import os
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import IO

from django.conf import settings

from agent_runs.supervisor import stop_all
from paid.stack import embedded, prepare, programs
from paid.stack.environment import Embedded, StackEnvironment
from paid.stack.supervisor import Program, Supervisor

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
        self.supervisor = Supervisor(base, log, child_environment, console)
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
        prepare.seed(self.say)
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

    def wait_until_healthy(self, url: str) -> None:
        """Until `/healthz` answers 200; StackError says which part is missing."""
        deadline = time.monotonic() + HEALTH_SECONDS
        missing = "the web process does not answer"
        while time.monotonic() < deadline:
            self.supervisor.poll(0.1)
            self.check_servers()
            try:
                with urllib.request.urlopen(f"{url}/healthz", timeout=5) as answer:  # noqa: S310 - our own address
                    if answer.status == 200:
                        return
            except urllib.error.HTTPError as error:
                missing = _what_is_missing(error)
            except OSError:
                continue
        raise StackError(f"Not everything came up in {HEALTH_SECONDS:.0f} s: {missing}. See .paid/log/paid.log.")

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


def _what_is_missing(error: urllib.error.HTTPError) -> str:
    try:
        checks = json.loads(error.read())["checks"]
    except (ValueError, KeyError, TypeError):
        return f"/healthz answers {error.code}"
    return ", ".join(f"{name}: {state}" for name, state in checks.items() if state != "ok")


def restart_with_new_settings(environment: dict[str, str]) -> None:
    """Replace this process by itself: its settings were read before stack.env said what it says now."""
    sys.stdout.flush()
    sys.stderr.flush()
    os.execve(sys.executable, [sys.executable, *sys.orig_argv[1:]], environment)  # noqa: S606 - our own argv
