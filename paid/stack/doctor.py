"""What Paid depends on, each asked for real, with what to do when it does not answer."""

import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import psycopg
import redis
from django.conf import settings
from django.core.checks import run_checks
from django.db import connections
from django.db.migrations.executor import MigrationExecutor

from agent_runs.sandbox import SandboxUnavailable, probe
from agent_runs.sandbox.binaries import claude_code_program
from agent_runs.seal import Verdict, probe_seal, spring_all
from agent_runs.workspace import WorkspaceError
from metrics.reconciliation import last_proof
from paid.lib import partitions, replicas

CLIENT_SECONDS = 5
# With the start of an interpreter, on a busy machine.
PING_SECONDS = 30


@dataclass(frozen=True)
class Finding:
    name: str
    is_ok: bool
    detail: str
    hint: str = ""

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


@dataclass(frozen=True)
class Examination:
    """`ask` returns what it found, or raises; `hint` then says how to mend it."""

    name: str
    ask: Callable[[], str]
    hint: str

    def run(self) -> Finding:
        try:
            return Finding(self.name, True, self.ask())
        except Exception as error:  # any failure of any client is a finding here, not a crash of the doctor
            detail = (str(error).strip() or type(error).__name__).splitlines()[0]
            return Finding(self.name, False, detail, self.hint)


class UnwellError(Exception):
    """Something answered, but not as it must."""


def examine() -> list[Finding]:
    findings = [examination.run() for examination in EXAMINATIONS]
    is_sealed = all(finding.is_ok for finding in findings if finding.name == SANDBOX)
    return [*findings, *(_seal() if is_sealed else [UNSEALED])]


def _seal() -> list[Finding]:
    """One finding for each probe of the sandbox: what was tried, and what came of it."""
    gateway = str(settings.GATEWAY_SOCKET)
    try:
        verdicts = [*probe_seal(gateway_socket=gateway if _answers(gateway) else None), *spring_all()]
    except (SandboxUnavailable, WorkspaceError, OSError, subprocess.SubprocessError) as error:
        return [Finding("seal", False, f"The probes could not be made: {error}", ESCAPE)]
    return [_finding(verdict) for verdict in verdicts]


def _finding(verdict: Verdict) -> Finding:
    name = f"seal: {verdict.name}"
    if verdict.has_escaped:
        return Finding(name, False, f"An agent can {verdict.goal}: {verdict.words}.", ESCAPE)
    return Finding(name, True, f"cannot {verdict.goal} ({verdict.words})")


def _answers(socket_path: str) -> bool:
    try:
        _connect(socket_path)
    except OSError:
        return False
    return True


def _python() -> str:
    if not (3, 11) <= sys.version_info[:2] <= (3, 13):
        raise UnwellError(f"Python {sys.version.split()[0]}")
    return sys.version.split()[0]


def _git() -> str:
    if shutil.which("git") is None:
        raise UnwellError("git is not on PATH")
    return subprocess.run(["git", "--version"], capture_output=True, text=True, check=True).stdout.strip()


def _sandbox() -> str:
    found = probe()
    if not found.works:
        raise UnwellError(found.detail)
    return found.detail


def _agent() -> str:
    program = claude_code_program()
    done = subprocess.run([program, "--version"], capture_output=True, text=True, check=True, timeout=30)
    return done.stdout.strip()


def _configuration() -> str:
    problems = [message for message in run_checks() if message.is_serious() and not message.is_silenced()]
    if problems:
        raise UnwellError("; ".join(f"{message.id}: {message.msg}" for message in problems))
    return "system checks pass"


def _application_role() -> str:
    # Past the pool, which would try for ten seconds and complain to the log.
    with psycopg.connect(settings.DATABASE_URL, connect_timeout=CLIENT_SECONDS) as connection:
        row = connection.execute(
            "SELECT session_user, current_user, current_setting('server_version'), rolbypassrls OR rolsuper"
            " FROM pg_roles WHERE rolname = current_user"
        ).fetchone()
    login, role, version, may_bypass = row or ("nobody", "nobody", "", True)
    if role != "paid_tenant" or may_bypass:
        raise UnwellError(f"{login} acts as {role}, which is not the tenant's role: tenants are not kept apart")
    return f"PostgreSQL {version}, {login} acts as {role}"


def _owner_role() -> str:
    executor = MigrationExecutor(connections["owner"])
    pending = len(executor.migration_plan(executor.loader.graph.leaf_nodes()))
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT rolbypassrls FROM pg_roles WHERE rolname = current_user")
        if cursor.fetchone() != (True,):
            raise UnwellError("the owner has no BYPASSRLS: it would silently update no rows")
    if pending:
        raise UnwellError(f"{pending} migrations are not applied")
    return "all migrations are applied"


def _partitions() -> str:
    # First past the pool, as above.
    psycopg.connect(settings.DATABASE_URL, connect_timeout=CLIENT_SECONDS).close()
    alarms = partitions.unexpected()
    if alarms:
        words = ", ".join(f"{alarm.rows} in that of {alarm.parent}" for alarm in alarms)
        raise UnwellError(f"default partitions hold rows that nobody expected: {words}")
    missing = partitions.missing()
    if missing:
        raise UnwellError(f"{len(missing)} partitions are not made yet, the first of {missing[0].parent}")
    tables = partitions.summaries()
    return f"{sum(table.partitions for table in tables)} of {len(tables)} tables, nothing outside of them"


def _ledger() -> str:
    psycopg.connect(settings.DATABASE_URL, connect_timeout=CLIENT_SECONDS).close()
    proof = last_proof()
    if proof is None:
        return "its sums were not proven yet: Celery beat does so each night"
    if not proof.is_equal:
        raise UnwellError(f"sums of {proof.drifted_days} days and {proof.drifted_runs} runs differ from it")
    return f"its sums were equal on {proof.proven_at:%Y-%m-%d %H:%M} UTC"


def _replicas() -> str:
    states = [replicas.look(alias) for alias in replicas.aliases()]
    unusable = [state.address for state in states if not state.is_usable]
    if unusable:
        raise UnwellError(f"not read from, because silent or too far behind: {', '.join(unusable)}")
    return f"{len(states)} in use" if states else "none configured: pages are read from the primary"


def _statistics() -> str:
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT extname FROM pg_extension WHERE extname = 'pg_stat_statements'")
        if cursor.fetchone() is None:
            raise UnwellError("the extension is not installed in this database")
        cursor.execute("SELECT count(*) FROM pg_stat_statements")
    return "loaded"


def _redis() -> str:
    client = redis.Redis.from_url(settings.REDIS_URL, socket_timeout=CLIENT_SECONDS)
    try:
        information: Any = client.info()
    finally:
        client.close()
    if information["maxmemory_policy"] != "noeviction":
        raise UnwellError(f"maxmemory-policy is {information['maxmemory_policy']}: queued tasks could be evicted")
    return f"{information.get('server_name', 'redis')} {information['redis_version']}"


def _temporal() -> str:
    address, namespace = settings.TEMPORAL_ADDRESS, settings.TEMPORAL_NAMESPACE
    host, _, port = address.rpartition(":")
    # Where nothing listens, the client would try again until its time is over.
    socket.create_connection((host, int(port)), CLIENT_SECONDS).close()
    argv = [sys.executable, "-m", "paid.stack.temporal_ping", address, namespace]
    pinged = subprocess.run(argv, cwd=settings.BASE_DIR, capture_output=True, text=True, timeout=PING_SECONDS)
    if pinged.returncode != 0:
        raise UnwellError(pinged.stderr)
    return f"{address}, namespace {namespace}"


def _gateway() -> str:
    _connect(str(settings.GATEWAY_SOCKET))
    return str(settings.GATEWAY_SOCKET)


def _connect(socket_path: str) -> None:
    with socket.socket(socket.AF_UNIX) as client:
        client.settimeout(CLIENT_SECONDS)
        client.connect(socket_path)


SANDBOX = "sandbox"
ESCAPE = "Run no agents on this host until this is mended: take Paid's own image or bubblewrap, and report the escape."
UNSEALED = Finding(
    "seal",
    False,
    "No probe was made: without the sandbox Paid runs no agents on this host, and none unsealed.",
    "Mend the sandbox first.",
)
START = "Start Paid with `make up`, or point the setting at a server that runs."
EXAMINATIONS = (
    Examination("python", _python, "Install Python 3.11, 3.12 or 3.13, remove .venv and run `make up`."),
    Examination("git", _git, "Install git (Debian: apt-get install git)."),
    Examination("configuration", _configuration, "`manage.py check` shows each problem with its remedy."),
    Examination(SANDBOX, _sandbox, "Agents run in bubblewrap only: allow unprivileged user namespaces."),
    Examination("claude code", _agent, "The package claude-agent-sdk carries it: remove .venv and run `make up`."),
    Examination("database", _application_role, f"DATABASE_URL: {START} Roles come from init-db.sql."),
    Examination("migrations", _owner_role, "Run `manage.py migrate --database owner`."),
    Examination(
        "pg_stat_statements",
        _statistics,
        "Set shared_preload_libraries=pg_stat_statements, restart PostgreSQL, run init-db.sql as a superuser.",
    ),
    Examination("partitions", _partitions, "Run `manage.py partitions`; find out who writes rows of a strange time."),
    Examination("ledger", _ledger, "Look with `manage.py reconcile_usage --dry-run`; without --dry-run it mends them."),
    Examination("replicas", _replicas, "DATABASE_REPLICA_URLS: look at the replica's log, or take it out."),
    Examination("redis", _redis, f"REDIS_URL: {START} It must run with maxmemory-policy noeviction."),
    Examination("temporal", _temporal, f"TEMPORAL_ADDRESS: {START}"),
    Examination("gateway", _gateway, "Run `manage.py gateway`, or `make up`, which starts it."),
)
