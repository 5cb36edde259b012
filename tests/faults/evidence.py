"""What is true about a run, asked from outside: SQL, git, the process list, the model's counters, Temporal."""

import asyncio
import json
import subprocess
import time
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import psycopg
from psycopg.rows import dict_row
from temporalio.client import Client, WorkflowExecutionStatus

from tests.faults.cases import Case
from tests.faults.house import House
from tests.faults.processes import AgentWatch, descends_from

TERMINAL = ("completed", "failed", "stopped")
END_SECONDS = 90.0
SETTLE_SECONDS = 30.0
TOKENS = ("input_tokens", "output_tokens", "cache_read_input_tokens", "cache_creation_input_tokens")

_LEFT_OVER = {
    "live run": "SELECT count(*) FROM agent_runs WHERE finished_at IS NULL",
    "open reservation": "SELECT count(*) FROM budget_reservations WHERE closed_at IS NULL",
    "open gateway call": "SELECT count(*) FROM gateway_calls",
    "run token": "SELECT count(*) FROM agent_runs WHERE run_token_hash IS NOT NULL",
    "undelivered command": "SELECT count(*) FROM outbox WHERE delivered_at IS NULL",
    "running step": "SELECT count(*) FROM agent_run_steps WHERE finished_at IS NULL",
    "advisory lock": "SELECT count(*) FROM pg_locks WHERE locktype = 'advisory'",
    "idle transaction": "SELECT count(*) FROM pg_stat_activity"
    " WHERE state LIKE 'idle in transaction%' AND now() - state_change > interval '3 seconds'",
}


@dataclass
class Findings:
    """What a case came to; `problems` is empty when everything holds."""

    status: str = ""
    error_code: str = ""
    error: str = ""
    pull_requests: int = 0
    branches: int = 0
    agents: int = 0
    calls: int = 0
    model_calls: int = 0
    tokens: int = 0
    model_tokens: int = 0
    estimated_calls: int = 0
    estimated_short_by: int = 0  # tokens of output that the gateway did not live to see
    problems: list[str] = field(default_factory=list)


class Evidence:
    def __init__(self, house: House, watch: AgentWatch, model_url: str) -> None:
        self._house = house
        self._watch = watch
        self._model_url = model_url

    def ask(self, statement: str, *values: object) -> list[dict[str, Any]]:
        """Asks again while the database is away: faults are its business, not ours."""
        deadline = time.monotonic() + END_SECONDS
        while True:
            try:
                with psycopg.connect(self._house.database_url("owner"), connect_timeout=5) as connection:
                    return connection.cursor(row_factory=dict_row).execute(statement, values or None).fetchall()
            except psycopg.OperationalError:
                if time.monotonic() > deadline:
                    raise
                time.sleep(0.1)

    def counters(self) -> dict[str, Any]:
        with urllib.request.urlopen(f"{self._model_url}/counters", timeout=10) as answer:  # noqa: S310 - our own address
            counters: dict[str, Any] = json.loads(answer.read())
        return counters

    def run(self, run_id: int) -> dict[str, Any]:
        return self.ask("SELECT * FROM agent_runs WHERE id = %s", run_id)[0]

    def wait_for_end(self, run_id: int) -> bool:
        return _until(lambda: self.run(run_id)["status"] in TERMINAL, END_SECONDS)

    def examine(self, case: Case, run_id: int, before: dict[str, Any]) -> Findings:
        """Everything must hold once the dust has settled; how long that may take is bounded."""
        findings = Findings()
        has_settled = _until(lambda: not self._left_over(run_id), SETTLE_SECONDS)
        self._outcome(findings, case, run_id)
        self._published(findings, run_id)
        self._ledger(findings, run_id, before)
        if not has_settled:
            findings.problems += self._left_over(run_id)
        if findings.agents > 1:
            findings.problems.append(f"{findings.agents} agent processes at a time")
        if self._watch.in_all > 1:
            findings.problems.append(f"{self._watch.in_all} agent processes one after the other: paid twice")
        return findings

    def _outcome(self, findings: Findings, case: Case, run_id: int) -> None:
        row = self.run(run_id)
        findings.status, findings.error_code, findings.error = row["status"], row["error_code"], row["error"]
        findings.agents = self._watch.most_at_once
        if (row["status"], row["error_code"]) != (case.status, case.error_code):
            findings.problems.append(f"ended {row['status']} {row['error_code']}: {row['error']}")

    def _published(self, findings: Findings, run_id: int) -> None:
        row = self.run(run_id)
        marked = f"%-{run_id}"
        found = self.ask("SELECT head_sha FROM pull_requests WHERE head_branch LIKE %s", marked)
        findings.pull_requests = len(found)
        tips = self._branches(run_id)
        findings.branches = len(tips)
        wanted = 1 if row["status"] == "completed" else 0
        if (len(found), len(tips)) != (wanted, wanted):
            findings.problems.append(f"{len(found)} pull requests and {len(tips)} branches, not {wanted}")
        elif wanted and not found[0]["head_sha"] == row["head_sha"] == tips[0]:
            findings.problems.append("pull request, run and branch name different commits")

    def _branches(self, run_id: int) -> list[str]:
        tips = []
        for repository in self._house.repositories.rglob("*.git"):
            argv = ["git", f"--git-dir={repository}", "for-each-ref", "--format=%(objectname)"]
            argv.append(f"refs/heads/paid/*-{run_id}")
            tips += subprocess.run(argv, capture_output=True, text=True, check=True).stdout.split()
        return tips

    def _ledger(self, findings: Findings, run_id: int, before: dict[str, Any]) -> None:
        """Call by call where the gateway saw the end; where it did not, the row says that it is estimated."""
        rows = self.ask(
            "SELECT provider_request_id, is_estimated, input_tokens, output_tokens,"
            " cache_read_tokens AS cache_read_input_tokens, cache_write_tokens AS cache_creation_input_tokens,"
            " cost_usd FROM token_usages WHERE agent_run_id = %s",
            run_id,
        )
        served = {key: call for key, call in self.counters()["calls"].items() if key not in before["calls"]}
        findings.calls, findings.model_calls = len(rows), len(served)
        findings.tokens = sum(row[name] for row in rows for name in TOKENS)
        findings.model_tokens = sum(call[name] for call in served.values() for name in TOKENS)
        findings.estimated_calls = sum(row["is_estimated"] for row in rows)
        if len(rows) != len(served):
            findings.problems.append(f"{len(rows)} calls in the ledger, {len(served)} at the model server")
        unnamed = {key: call for key, call in served.items() if key not in {row["provider_request_id"] for row in rows}}
        for row in rows:
            call = served.get(row["provider_request_id"])
            if row["is_estimated"]:
                # A gateway that died has not always noted the provider's id: the input says which call it was.
                self._estimated(findings, row, call or _alike(row, unnamed))
            elif call is None or any(row[name] != call[name] for name in TOKENS):
                findings.problems.append(f"ledger {row} is not what the model server counted: {call}")
        if findings.tokens + findings.estimated_short_by != findings.model_tokens:
            findings.problems.append(f"{findings.tokens} tokens in the ledger, {findings.model_tokens} served")
        run = self.run(run_id)
        if run["cost_usd"] != sum(row["cost_usd"] for row in rows):
            findings.problems.append("the cost shown is not the sum of the ledger")

    def _estimated(self, findings: Findings, row: dict[str, Any], call: dict[str, int] | None) -> None:
        """What the stream had told when it was cut: the input to the token, of the output no more than was served."""
        is_input_known = call is not None and _has_input_of(row, call)
        if call is None or not is_input_known or not 0 <= row["output_tokens"] <= call["output_tokens"]:
            findings.problems.append(f"estimated ledger {row} does not follow from what was served: {call}")
            return
        findings.estimated_short_by += call["output_tokens"] - row["output_tokens"]

    def _left_over(self, run_id: int) -> list[str]:
        found = [
            f"{row['count']} × {name} left"
            for name, statement in _LEFT_OVER.items()
            if (row := self.ask(statement)[0])["count"]
        ]
        if (self._house.runs / str(run_id)).exists():
            found.append("the workspace is still there")
        found += [f"orphan: {command[:150]}" for command in self._orphans()]
        found += asyncio.run(self._open_workflows(run_id))
        if self._house.health() != 200:
            found.append(f"/healthz answers {self._house.health()}")
        return found

    def _orphans(self) -> list[str]:
        """Processes of this stack that neither `up` nor a server of the harness answers for."""
        if self._house.up is None:
            return []
        roots = [self._house.up.pid, *(server.process.pid for server in self._house.servers.values())]
        return [
            process.command
            for process in self._house.own_processes(self._house.directory)
            if not any(descends_from(process.pid, root) for root in roots)
        ]

    async def _open_workflows(self, run_id: int) -> list[str]:
        try:
            async with asyncio.timeout(10):
                client = await Client.connect(self._house.temporal_address)
                description = await client.get_workflow_handle(f"run-{run_id}").describe()
        except Exception as error:
            return [f"Temporal could not be asked: {error}"]
        is_open = description.status == WorkflowExecutionStatus.RUNNING
        return [f"workflow run-{run_id} still runs"] if is_open else []


def _has_input_of(row: dict[str, Any], call: dict[str, int]) -> bool:
    return all(row[name] == call[name] for name in TOKENS if name != "output_tokens")


def _alike(row: dict[str, Any], calls: dict[str, dict[str, int]]) -> dict[str, int] | None:
    return next((call for call in calls.values() if _has_input_of(row, call)), None)


def _until(holds: Callable[[], bool], seconds: float) -> bool:
    deadline = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > deadline:
            return False
        time.sleep(0.2)
    return True
