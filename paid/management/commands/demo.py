"""`manage.py demo`: one real run of the sample project, from issue to pull request, without a browser."""

import asyncio
import json
import sys
import time
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from accounts.models import Account, Membership, Role, User
from agent_runs.errors import RunAlreadyLive
from agent_runs.models import LIVE_STATUSES, AgentRun, RunStatus, RunTrigger
from dashboard.views.health import state_of_parts
from metrics.querysets import cost_of_run
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID, platform, tenant
from paid.stack import programs
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
from paid.stack.prepare import close_connections
from workflows.operations import start_demo_run

EXIT_NOT_COMPLETED, EXIT_INTERRUPTED = 1, 130
POLL_SECONDS = 0.2


class Command(BaseCommand):
    help = (
        "Perform the demo: a real agent, played by a scripted model, mends the sample project's failing test. Uses "
        "the Paid that runs here, or starts what it needs and stops it again. The last line on standard output is "
        "one JSON object; exit code 0 only for a completed run. Example: manage.py demo | tail -1"
    )
    requires_system_checks = ()

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--timeout", type=float, default=180, help="seconds to wait for the run to end")

    def handle(self, *_args: Any, **options: Any) -> None:
        lock = StackLock(settings.STATE_DIR)
        stop_on_signals()
        try:
            lock.acquire()
        except AlreadyRunningError as error:
            self._say(f"{error} Its demo is used.")
            result = self._with_running_stack(options["timeout"], error.port or settings.PORT)
        else:
            result = self._with_own_stack(options["timeout"])
        self.stdout.write(json.dumps(result))
        if result["status"] != RunStatus.COMPLETED:
            sys.exit(EXIT_NOT_COMPLETED)

    def _with_running_stack(self, timeout_seconds: float, port: int) -> dict[str, Any]:
        address = f"http://127.0.0.1:{port}"
        if missing := missing_over_http(address):
            raise CommandError(f"Paid runs here but is not ready at {address} ({missing}). Try again soon.")
        try:
            return self._perform(timeout_seconds, time.sleep)
        except StopRequestedError:
            sys.exit(EXIT_INTERRUPTED)

    def _with_own_stack(self, timeout_seconds: float) -> dict[str, Any]:
        environment, wanted = claim()
        stack = Stack(settings.BASE_DIR, settings.STATE_DIR, environment, sys.stderr)
        try:
            stack.start_servers(wanted)
            stack.prepare_database()
            stack.wait_for_servers()
            stack.start_programs(programs.engine())
            stack.wait_until(_missing_parts)
            return self._perform(timeout_seconds, stack.poll)
        except StopRequestedError:
            sys.exit(EXIT_INTERRUPTED)
        except (ServerError, StackError) as error:
            raise CommandError(str(error)) from None
        finally:
            kill_on_signals(stack)
            close_connections()
            stack.stop()

    def _perform(self, timeout_seconds: float, wait: Any) -> dict[str, Any]:
        began = time.monotonic()
        membership = _first_owner()
        account_id, user_id = membership.account_id, membership.user_id
        with tenant(account_id, user_id):
            account = Account.objects.get(pk=account_id)
            run = _start_or_follow(account, membership.user)
            self._say(f"run {run.pk} of {run.project} #{run.issue.number} is {run.status}")
        status = run.status
        while status in LIVE_STATUSES:
            if time.monotonic() - began > timeout_seconds:
                self._say(f"the run did not end in {timeout_seconds:g} s")
                break
            wait(POLL_SECONDS)
            with tenant(account_id, user_id):
                run = AgentRun.objects.get(pk=run.pk)
            if run.status != status:
                status = run.status
                self._say(f"run {run.pk} is {status}" + (f": {run.error}" if run.error else ""))
        with tenant(account_id, user_id):
            cost = cost_of_run(run.pk)
        return {
            "run_id": run.pk,
            "status": run.status,
            "branch": run.branch,
            "commit": run.head_sha,
            # A float shows 15 significant digits unchanged; the ledger keeps 12 places, and a demo costs cents.
            "cost_usd": float(cost.cost_usd),
            "input_tokens": cost.input_tokens,
            "output_tokens": cost.output_tokens,
            "seconds": round(time.monotonic() - began, 2),
        }

    def _say(self, text: str) -> None:
        self.stderr.write(text)
        self.stderr.flush()


def _start_or_follow(account: Account, user: User) -> AgentRun:
    """A demo that was interrupted goes on when workers are back: that run is followed, not a second one refused."""
    try:
        return start_demo_run(account=account, actor=user)
    except RunAlreadyLive:
        return AgentRun.objects.filter(trigger=RunTrigger.DEMO, status__in=LIVE_STATUSES).latest("created_at")


def _missing_parts() -> str:
    states = asyncio.run(state_of_parts())
    return ", ".join(f"{name}: {state}" for name, state in states.items() if state != "ok")


def _first_owner() -> Membership:
    with platform():
        memberships = Membership.objects.filter(role=Role.OWNER).exclude(account_id=GLOBAL_ACCOUNT_ID)
        membership = memberships.select_related("user").order_by("account_id", "pk").first()
    if membership is None:
        raise CommandError("There is no account yet: start Paid once with `make up`, which makes the first one.")
    return membership
