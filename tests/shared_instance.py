"""`make shared-instance`: Paid and a real Temporal server in one PostgreSQL instance, through a restart of both.

A program, not a test of `make test`: the Temporal server is built from source first (bin/temporal-server). It starts
the servers as docker-compose.yml does, with the same configuration file and schema steps, and then
1. performs the demo,
2. begins another one and interrupts it, so that its workflow waits for a worker,
3. restarts PostgreSQL and Temporal, and sees the workflow still there,
4. starts Paid again: the same run must be completed.
"""

import json
import os
import random
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

import yaml

from paid.stack import embedded
from tests.tls import TlsPostgresql, binaries_with_tls

ROOT = Path(__file__).resolve().parents[1]
PORTS = ("FRONTEND", "MATCHING", "HISTORY", "WORKER")
OURS = ("DATABASE_URL", "DATABASE_OWNER_URL", "DATABASE_BACKUP_URL", "REDIS_URL", "TEMPORAL_ADDRESS", "PAID_STATE_DIR")
COMPOSE: dict[str, Any] = yaml.safe_load((ROOT / "docker-compose.yml").read_text())["services"]


def compose_environment(service: str) -> dict[str, str]:
    """What the compose file sets without asking the operator."""
    return {name: value for name, value in COMPOSE[service]["environment"].items() if "${" not in value}


def low_port() -> int:
    """Temporal stores the ports of its members as smallint."""
    return next(port for port in iter(lambda: random.randrange(20_000, 32_000), None) if embedded.port_is_free(port))  # noqa: S311 - no secret


class SharedInstance:
    """PostgreSQL with five databases, and a Temporal server that keeps its state in two of them; TLS between them."""

    def __init__(self, directory: Path, programs: Path, postgresql: TlsPostgresql) -> None:
        self._directory, self._postgresql = directory, postgresql
        ports = {f"TEMPORAL_{name}_PORT": str(embedded.free_port()) for name in PORTS}
        ports |= {f"TEMPORAL_{name}_MEMBERSHIP_PORT": str(low_port()) for name in PORTS}
        self._temporal_environment = {
            "PATH": os.pathsep.join([str(programs), str(embedded.temporal_binary().parent), os.environ["PATH"]]),
            "TEMPORAL_SERVER_CONFIG_FILE_PATH": str(ROOT / "temporal-config.yaml"),
            "TEMPORAL_DATABASE_HOST": "127.0.0.1",
            "TEMPORAL_DATABASE_PORT": str(postgresql.port),
            "TEMPORAL_DATABASE_PASSWORD": postgresql.temporal_password,
            "TEMPORAL_DATABASE_CA_FILE": str(postgresql.authority),
            **ports,
        }
        self.temporal_port = int(ports["TEMPORAL_FRONTEND_PORT"])

    def start_postgresql(self) -> None:
        """With the roles and databases of init-db.sql, and Temporal's tables as the compose file makes them."""
        self._postgresql.start()
        environment = compose_environment("temporal-schema") | {
            "SQL_HOST": "127.0.0.1",
            "SQL_PORT": str(self._postgresql.port),
            "SQL_PASSWORD": self._postgresql.temporal_password,
            "SQL_TLS_CA_FILE": str(self._postgresql.authority),
        }
        self._run_script("temporal-schema", environment)

    def start_temporal(self) -> None:
        self._log = (self._directory / "temporal.log").open("ab")
        self._temporal = subprocess.Popen(
            COMPOSE["temporal"]["command"],
            env=self._temporal_environment,
            cwd=self._directory,
            stdout=self._log,
            stderr=self._log,
            start_new_session=True,
        )
        while not self._temporal_cli("operator", "cluster", "health"):
            if self._temporal.poll() is not None:
                raise SystemExit(f"Temporal ended:\n{(self._directory / 'temporal.log').read_text()[-3000:]}")
            time.sleep(0.2)

    def make_namespace(self) -> None:
        self._run_script("temporal-namespace", {"TEMPORAL_ADDRESS": f"127.0.0.1:{self.temporal_port}"})

    def running_workflows(self) -> list[str]:
        """The ids of the runs' workflows that have not ended, as Temporal's visibility database has them."""
        query = "ExecutionStatus='Running' AND WorkflowType='RunWorkflow'"
        done = subprocess.run(self._cli("workflow", "list", "-q", query, "-o", "json"), capture_output=True, check=True)
        return [found["execution"]["workflowId"] for found in json.loads(done.stdout or "[]")]

    def stop(self) -> None:
        self._temporal.send_signal(signal.SIGTERM)
        with suppress(subprocess.TimeoutExpired):
            self._temporal.wait(60)
        self._temporal.kill()
        self._temporal.wait()
        self._log.close()
        self._postgresql.stop()

    def environment(self) -> dict[str, str]:
        """For Paid: its roles on this PostgreSQL, and this Temporal."""
        kept = {name: value for name, value in os.environ.items() if name not in OURS}
        return kept | {
            "PAID_STATE_DIR": str(self._directory / "state"),
            "DATABASE_URL": self._postgresql.url("app", database="paid_production"),
            "DATABASE_OWNER_URL": self._postgresql.url("owner", database="paid_production"),
            "TEMPORAL_ADDRESS": f"127.0.0.1:{self.temporal_port}",
        }

    def _run_script(self, service: str, environment: dict[str, str]) -> None:
        """Run what the compose file runs in this service's container."""
        entry, script = COMPOSE[service]["entrypoint"], COMPOSE[service]["command"][0].replace("$$", "$")
        path = {"PATH": self._temporal_environment["PATH"]}
        done = subprocess.run([*entry, script], env=environment | path, capture_output=True, text=True, check=False)
        if done.returncode != 0:
            raise SystemExit(f"{service} failed:\n{done.stderr[-2000:]}")

    def _cli(self, *arguments: str) -> list[str]:
        return [str(embedded.temporal_binary()), *arguments, "--address", f"127.0.0.1:{self.temporal_port}"]

    def _temporal_cli(self, *arguments: str) -> bool:
        argv = self._cli(*arguments, "--command-timeout", "5s")
        return subprocess.run(argv, capture_output=True, check=False).returncode == 0


def demo(environment: dict[str, str]) -> dict[str, Any]:
    argv = [sys.executable, "manage.py", "demo"]
    done = subprocess.run(argv, cwd=ROOT, env=environment, stdout=subprocess.PIPE, text=True, check=True)
    result: dict[str, Any] = json.loads(done.stdout.splitlines()[-1])
    return result


def interrupted_demo(environment: dict[str, str], instance: SharedInstance) -> str:
    """Begin a demo, stop it when Temporal runs its workflow, and return the workflow's id."""
    process = subprocess.Popen([sys.executable, "manage.py", "demo"], cwd=ROOT, env=environment, stdout=subprocess.PIPE)
    while not (found := instance.running_workflows()):
        if process.poll() is not None:
            raise SystemExit("The demo ended before its workflow was seen.")
        time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    process.wait()
    return found[0]


def perform(instance: SharedInstance) -> None:
    began = time.monotonic()

    def say(text: str) -> None:
        sys.stdout.write(f"{time.monotonic() - began:6.1f} s  {text}\n")
        sys.stdout.flush()

    instance.start_postgresql()
    say("PostgreSQL is up, with Temporal's tables beside Paid's databases")
    instance.start_temporal()
    instance.make_namespace()
    say("Temporal is up")
    try:
        environment = instance.environment()
        say(f"demo: {json.dumps(demo(environment))}")
        waiting = interrupted_demo(environment, instance)
        say(f"{waiting} waits: its demo was interrupted")
        instance.stop()
        say("PostgreSQL and Temporal are stopped")
        instance.start_postgresql()
        instance.start_temporal()
        instance.make_namespace()
        if instance.running_workflows() != [waiting]:
            raise SystemExit(f"{waiting} is not running after the restart: {instance.running_workflows()}")
        say(f"both are up again, and {waiting} is still running")
        result = demo(environment)
        say(f"demo: {json.dumps(result)}")
        if (f"run-{result['run_id']}", result["status"]) != (waiting, "completed"):
            raise SystemExit(f"{waiting} was not what went on.")
        say(f"{waiting} went on where it was, and is completed")
    finally:
        instance.stop()


def main() -> None:
    # `timeout` and the like: what this started must end with it.
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))
    programs, binaries = Path(sys.argv[1]), binaries_with_tls()
    if binaries is None:
        raise SystemExit("No PostgreSQL with TLS is here (Debian: apt-get install postgresql).")
    postgresql = TlsPostgresql(binaries)
    directory = Path(tempfile.mkdtemp(prefix="paid-shared-"))
    directory.chmod(0o711)  # as root PostgreSQL walks through it as nobody
    try:
        perform(SharedInstance(directory, programs, postgresql))
    finally:
        postgresql.remove()
        shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main()
