"""One run all the way: outbox, Temporal, sandbox, the real Claude Code, gateway, ledger, git, pull request.

What is asserted comes from outside the code under test wherever it can: git, the process list, the model
server's own counters.
"""

import asyncio
import re
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import connection
from django.db.models import Count, Sum
from temporalio.client import Client

from agent_runs.models import AgentRun, AgentRunLog, RunDiff, RunStatus, RunStep
from agent_runs.supervisor.guard import descendants
from metrics.models import BudgetReservation, QualityMetric, TokenUsage
from paid.lib.git import git_text
from paid.lib.tenancy import platform, tenant
from projects.models import Issue, PullRequest, WorkState
from projects.repositories import local_repository
from prompts.models import LanguageModel
from tests.agent_runs.processes import pids_with, wait_until
from tests.agent_runs.working_files import contents, files_below
from tests.factories import account_with_owner
from tests.metrics.conftest import GatewayServer
from tests.workflows.house import House, has_ended
from workflows.models import OutboxCommand
from workflows.operations import start_demo_run, stop_run

pytestmark = [pytest.mark.django_db(transaction=True)]

END_SECONDS = 300


def read(run: AgentRun) -> AgentRun:
    with platform():
        return AgentRun.objects.select_related("project", "issue").get(pk=run.pk)


def until(holds: Callable[[], bool], house: House) -> float:
    try:
        return wait_until(holds, END_SECONDS)
    except AssertionError as error:
        raise AssertionError(house.logs()) from error


def ended(run: AgentRun, house: House) -> AgentRun:
    until(lambda: has_ended(run.pk), house)
    return read(run)


def start(**options: Any) -> AgentRun:
    account, owner = account_with_owner()
    with tenant(account.pk):
        return start_demo_run(account=account, actor=owner, **options)


def log_rows(run: AgentRun) -> list[int]:
    with platform():
        rows = AgentRunLog.objects.filter(agent_run_id=run.pk).order_by("seq")
        return list(rows.values_list("seq", flat=True))


def attempts_of_agent(run: AgentRun) -> int:
    with platform():
        return RunStep.objects.get(agent_run_id=run.pk, name="agent").attempt


def assert_ledger_is_what_the_model_served(run: AgentRun, gateway: GatewayServer) -> None:
    with platform():
        booked = TokenUsage.objects.filter(agent_run_id=run.pk).aggregate(
            calls=Count("request_id"),
            input_tokens=Sum("input_tokens"),
            output_tokens=Sum("output_tokens"),
            cache_read_input_tokens=Sum("cache_read_tokens"),
            cache_creation_input_tokens=Sum("cache_write_tokens"),
        )
        cost = TokenUsage.objects.filter(agent_run_id=run.pk).aggregate(cost=Sum("cost_usd"))["cost"]
    assert booked == gateway.upstream.counters()["total"]
    assert (run.input_tokens, run.output_tokens) == (booked["input_tokens"], booked["output_tokens"])
    assert run.cost_usd == cost > 0


def supervisors_of(run: AgentRun, settings: Any) -> list[int]:
    return pids_with(f"agent_runs.supervisor {settings.RUNS_DIR / str(run.pk)} ")


def test_a_run_goes_from_an_issue_to_a_pull_request(house: House, gateway: GatewayServer):
    run = ended(start(), house)
    assert (run.status, run.error_code, run.error) == (RunStatus.COMPLETED, "", ""), house.logs()

    with platform():
        pull_request = PullRequest.objects.get(project=run.project)
        diff = RunDiff.objects.get(agent_run=run)
        steps = list(RunStep.objects.filter(agent_run=run).order_by("started_at").values_list("name", "status"))
        escrow = BudgetReservation.objects.get(agent_run=run)
        issue = Issue.objects.get(pk=run.issue_id)

    repository = local_repository(run.project)
    assert git_text(repository, "rev-parse", run.branch) == run.head_sha == pull_request.head_sha
    assert git_text(repository, "rev-parse", f"{run.branch}^") == run.base_sha
    assert git_text(repository, "diff", "--name-only", run.base_sha, run.head_sha) == "textkit/slug.py"
    assert (diff.files_changed, diff.lines_added, diff.lines_removed) == (1, 1, 1)
    assert run.pull_request_id == pull_request.pk
    assert issue.work_state == WorkState.IN_REVIEW
    assert "- Tests: `python3 -m unittest` passes on a clean copy of the commit." in pull_request.body
    with platform():
        quality = QualityMetric.objects.get(agent_run=run)
    assert (quality.has_passing_tests, quality.has_clean_lint) == (True, None)
    assert quality.quality_score is not None
    assert quality.quality_score > Decimal("0.8")
    assert steps == [(name, "done") for name in ("queue", "workspace", "agent", "publish", "finish")]
    rows = log_rows(run)
    assert rows == sorted(set(rows))
    assert len(rows) > 10

    assert_ledger_is_what_the_model_served(run, gateway)
    assert escrow.closed_at is not None
    assert run.run_token_hash is None


def test_a_killed_worker_leaves_its_agent_to_the_next_one(house: House, gateway: GatewayServer, settings: Any):
    gateway.upstream.model.delay_seconds = 0.05
    run = start()
    until(lambda: len(log_rows(run)) >= 4, house)
    before = supervisors_of(run, settings)
    assert len(before) == 1

    house.kill_worker("agents")
    assert supervisors_of(run, settings) == before
    house.start_worker("agents")
    until(lambda: attempts_of_agent(run) == 2, house)
    run = ended(run, house)

    assert (run.status, run.error) == (RunStatus.COMPLETED, "")
    rows = log_rows(run)
    assert rows == sorted(set(rows))
    with platform():
        assert PullRequest.objects.filter(project=run.project).count() == 1
    assert git_text(local_repository(run.project), "rev-list", "--count", f"main..{run.branch}") == "1"
    assert_ledger_is_what_the_model_served(run, gateway)
    assert supervisors_of(run, settings) == []


async def why_it_was_tried_again(run: AgentRun, temporal_address: str) -> str:
    client = await Client.connect(temporal_address)
    description = await client.get_workflow_handle(f"run-{run.pk}").describe()
    (step,) = description.raw_description.pending_activities
    return step.last_failure.application_failure_info.type


def test_a_worker_that_is_told_to_leave_hands_over_at_once(house: House, settings: Any, temporal_address: str):
    """As a deployment does: no heartbeat has to run out, and the agent notices nothing."""
    with platform():
        # An agent that asks on and on reaches its last turn before a second worker is up on a slow machine.
        silent = LanguageModel.objects.get(model_id="scripted-stall")
    run = start(model=silent)
    until(lambda: log_rows(run) != [], house)
    before = supervisors_of(run, settings)

    house.start_worker("agents", log_name="agents-2")
    until(lambda: "is ready" in house.log("agents-2"), house)
    house.tell_to_leave("agents")
    until(lambda: attempts_of_agent(run) == 2, house)
    assert supervisors_of(run, settings) == before
    assert asyncio.run(why_it_was_tried_again(run, temporal_address)) == "WorkerLeaves"

    with tenant(run.account_id):
        stop_run(run=run, actor=None)
    run = ended(run, house)
    assert (run.status, run.error) == (RunStatus.STOPPED, "")


def test_the_run_token_is_in_the_agents_environment_and_nowhere_else(house: House, settings: Any):
    with platform():
        endless = LanguageModel.objects.get(model_id="scripted-endless")
    run = start(model=endless)
    until(lambda: len(log_rows(run)) >= 6, house)
    (supervisor,) = supervisors_of(run, settings)
    environments = contents(Path(f"/proc/{pid}/environ") for pid in descendants(supervisor, 50))
    tokens = {
        match[1].decode() for each in environments.values() for match in re.finditer(rb"AUTH_TOKEN=([^\0]+)", each)
    }
    assert len(tokens) == 1
    (token,) = tokens

    files = contents(files_below(settings.RUNS_DIR))
    assert len(files) > 10
    assert [path for path, content in files.items() if token.encode() in content] == []

    with tenant(run.account_id):
        stop_run(run=run, actor=None)
    ended(run, house)
    logs = [path.read_text(errors="replace") for path in house.log_directory.iterdir()]
    assert len(logs) == 2
    with platform():
        logs += AgentRunLog.objects.filter(agent_run_id=run.pk).values_list("content", flat=True)
    assert [text for text in logs if token in text] == []


def test_a_stop_ends_the_agent_at_once(house: House, settings: Any):
    with platform():
        endless = LanguageModel.objects.get(model_id="scripted-endless")
    run = start(model=endless)
    until(lambda: len(log_rows(run)) >= 6, house)
    assert len(supervisors_of(run, settings)) == 1

    asked_at = time.monotonic()
    with tenant(run.account_id):
        stop_run(run=run, actor=None)
    until(lambda: supervisors_of(run, settings) == [], house)
    # Five where the machine has time for it; left alone the agent would go on for an hour.
    assert time.monotonic() - asked_at < 200

    run = ended(run, house)
    assert (run.status, run.error_code, run.run_token_hash) == (RunStatus.STOPPED, "", None)
    with platform():
        assert PullRequest.objects.filter(project=run.project).count() == 0
        assert BudgetReservation.objects.get(agent_run=run).closed_at is not None


def test_commands_that_are_delivered_twice_are_one_run(house: House, gateway: GatewayServer):
    run = start()
    with platform():
        command = OutboxCommand.objects.get(account_id=run.account_id)
    for number in range(5):
        with platform(), connection.cursor() as cursor:
            OutboxCommand.objects.create(
                account_id=run.account_id,
                workflow_type=command.workflow_type,
                workflow_id=command.workflow_id,
                task_queue=command.task_queue,
                signal=command.signal,
                payload=command.payload,
                dedupe_key=f"again-{number}",
            )
            cursor.execute("NOTIFY paid_outbox")
    run = ended(run, house)
    until(lambda: _undelivered() == 0, house)

    assert run.status == RunStatus.COMPLETED
    assert git_text(local_repository(run.project), "rev-list", "--count", f"main..{run.branch}") == "1"
    assert_ledger_is_what_the_model_served(run, gateway)


def _undelivered() -> int:
    with platform():
        return OutboxCommand.objects.filter(delivered_at__isnull=True).count()
