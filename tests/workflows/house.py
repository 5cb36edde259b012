"""The whole house for one test: workers as processes of their own, over the test's database and servers."""

import os
import signal
import subprocess
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from django.conf import settings
from django.db import connection

from agent_runs.models import TERMINAL_STATUSES, AgentRun
from metrics.models import BudgetReservation
from paid.lib.tenancy import platform

ROOT = Path(__file__).resolve().parents[2]


def database_url() -> str:
    values = connection.settings_dict
    login = f"{quote(values['USER'])}:{quote(values['PASSWORD'])}"
    return f"postgresql://{login}@{values['HOST']}:{values['PORT']}/{values['NAME']}"


@dataclass
class House:
    """Starts `manage.py temporal_worker` as the stack does."""

    environment: Mapping[str, str]
    log_directory: Path
    running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)

    def start_worker(self, queue: str, *, log_name: str = "") -> subprocess.Popen[bytes]:
        name = log_name or queue
        log = (self.log_directory / f"{name}.log").open("ab")
        bound = [sys.executable, "-u", "-m", "tests.bound", str(os.getpid())]
        process = subprocess.Popen(
            [*bound, "manage.py", "temporal_worker", "--queue", queue],
            cwd=ROOT,
            env={**os.environ, **self.environment},
            stdout=log,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
        log.close()
        self.running[name] = process
        return process

    def kill_worker(self, queue: str) -> None:
        """As the kernel does when memory is out: no last word."""
        process = self.running.pop(queue)
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()

    def tell_to_leave(self, name: str) -> None:
        process = self.running.pop(name)
        process.send_signal(signal.SIGTERM)
        assert process.wait(60) == 0

    def log(self, name: str) -> str:
        return (self.log_directory / f"{name}.log").read_text(errors="replace")

    def stop(self) -> None:
        for process in self.running.values():
            process.send_signal(signal.SIGTERM)
        for process in self.running.values():
            try:
                process.wait(20)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()
        self.running.clear()

    def logs(self) -> str:
        return "\n".join(path.read_text(errors="replace")[-6000:] for path in self.log_directory.glob("*.log"))


def has_ended(run_id: int) -> bool:
    """In every table: the escrow goes back in a transaction after the one that ends the run."""
    with platform():
        is_open = BudgetReservation.objects.filter(agent_run_id=run_id, closed_at=None).exists()
        return not is_open and AgentRun.objects.filter(pk=run_id, status__in=TERMINAL_STATUSES).exists()


def environment_of_workers(temporal_address: str) -> dict[str, str]:
    return {
        "DATABASE_URL": database_url(),
        "TEMPORAL_ADDRESS": temporal_address,
        "PAID_RUNS_DIR": str(settings.RUNS_DIR),
        "PAID_REPOSITORIES_DIR": str(settings.REPOSITORIES_DIR),
        "GATEWAY_SOCKET": str(settings.GATEWAY_SOCKET),
        "SCRIPTED_MODEL_URL": str(settings.SCRIPTED_MODEL_URL),
        "GITHUB_API_URL": settings.GITHUB_API_URL,
        "GITHUB_URL": settings.GITHUB_URL,
    }
