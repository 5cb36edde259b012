"""A run whose money is used up waits for a person, holds nothing meanwhile, and goes on where it was."""

from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from django.db import DatabaseError
from temporalio.testing import ActivityEnvironment

from accounts.models import AuditEvent, User
from agent_runs.errors import RunHasEnded, RunIsNotPaused
from agent_runs.models import AgentRun, AgentRunLog, RunStatus, RunStep
from agent_runs.operations import request_stop
from agent_runs.sessions import Session, begin_session, current_session
from agent_runs.spool import SPOOL_NAME
from agent_runs.supervisor import files
from metrics.errors import BudgetExhausted, OwnLimitReached
from metrics.models import BudgetAlert, BudgetReservation
from metrics.operations import open_escrow
from paid.lib.git import git_text
from paid.lib.tenancy import platform, tenant
from projects.models import Project, PullRequest
from projects.repositories import local_repository
from projects.sample import create_sample_project
from tests.factories import account_with_owner
from tests.metrics.conftest import GatewayServer
from tests.metrics.records import Tenant, make_budget, make_run, make_tenant
from tests.workflows.house import House
from tests.workflows.test_whole_way import (
    assert_ledger_is_what_the_model_served,
    ended,
    log_rows,
    read,
    supervisors_of,
    until,
)
from workflows.activities.pause import pause_run_activity
from workflows.contracts import Pause, RunRef, StepOutcome, Verdict
from workflows.models import OutboxCommand
from workflows.operations import grant_budget, resume_run, start_demo_run

OUT = StepOutcome(Verdict.PAUSED, "budget_exhausted", "The money is used up.")


@pytest.fixture
def owner(db: None) -> Tenant:
    return make_tenant()


@pytest.fixture
def actor(db: None) -> User:
    return account_with_owner()[1]


def paused(owner: Tenant, *, spent: str = "0") -> AgentRun:
    run = make_run(owner)
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(limits={"cost_usd": "1"})
    open_escrow(run=run, wanted_usd=Decimal(1))
    with platform():
        BudgetReservation.objects.filter(agent_run=run).update(drawn_usd=Decimal(spent))
    pause(run, 1)
    return read(run)


def pause(run: AgentRun, number: int) -> StepOutcome:
    outcome: StepOutcome = ActivityEnvironment().run(
        pause_run_activity, Pause(RunRef(run.account_id, run.pk), number, OUT)
    )
    return outcome


def escrow_of(run: AgentRun) -> BudgetReservation:
    with platform():
        return BudgetReservation.objects.get(agent_run=run)


def actions(run: AgentRun) -> list[str]:
    with platform():
        events = AuditEvent.objects.filter(object_type="agent_run", object_id=str(run.pk)).order_by("created_at", "id")
        return list(events.values_list("action", flat=True))


def commands(run: AgentRun) -> list[dict[str, Any]]:
    with platform():
        return list(OutboxCommand.objects.filter(account_id=run.account_id).values_list("payload", flat=True))


def test_a_pause_gives_the_escrow_back_once_and_says_why(owner: Tenant):
    run = paused(owner, spent="0.25")
    assert (run.status, run.pauses) == (RunStatus.PAUSED, 1)
    closed_at = escrow_of(run).closed_at
    assert closed_at is not None
    assert pause(run, 1) == StepOutcome()
    assert (read(run).pauses, escrow_of(run).closed_at, actions(run)) == (1, closed_at, ["run.pause"])
    with platform():
        note = AgentRunLog.objects.get(agent_run_id=run.pk)
    assert note.content == "The run is paused (budget_exhausted). The money is used up."


def test_a_pause_that_is_told_late_does_not_pause_the_run_that_went_on(owner: Tenant, actor: User):
    run = paused(owner, spent="0.25")
    with tenant(run.account_id):
        assert resume_run(run=run, actor=actor) == Decimal("0.75")
    pause(run, 1)
    assert (read(run).status, escrow_of(run).closed_at) == (RunStatus.RUNNING, None)
    pause(run, 2)
    assert (read(run).status, read(run).pauses) == (RunStatus.PAUSED, 2)


def test_a_run_that_shall_stop_does_not_pause(owner: Tenant):
    run = make_run(owner)
    open_escrow(run=run, wanted_usd=Decimal(1))
    with tenant(run.account_id):
        request_stop(run=run, actor=None)
    assert pause(run, 1).verdict == Verdict.STOPPED
    assert read(run).status == RunStatus.RUNNING


def test_a_paused_run_has_a_time_and_no_other_run_has(owner: Tenant):
    run = make_run(owner)
    with pytest.raises(DatabaseError, match="agent_runs_paused_since_when"), platform():
        AgentRun.objects.filter(pk=run.pk).update(status=RunStatus.PAUSED)


def test_going_on_takes_money_again_and_commands_the_workflow_once(owner: Tenant, actor: User):
    run = paused(owner, spent="0.25")
    with tenant(run.account_id):
        resume_run(run=run, actor=actor)
    with pytest.raises(RunIsNotPaused), tenant(run.account_id):
        resume_run(run=run, actor=actor)
    assert commands(run) == [{"account_id": run.account_id, "run_id": run.pk, "pause": 1}]
    assert actions(run) == ["run.pause", "run.resume"]
    assert (read(run).status, read(run).paused_at) == (RunStatus.RUNNING, None)


def test_a_run_that_used_up_its_own_limit_goes_on_with_a_grant_only(owner: Tenant, actor: User):
    run = paused(owner, spent="1")
    with pytest.raises(OwnLimitReached), tenant(run.account_id):
        resume_run(run=run, actor=actor)
    assert (read(run).status, commands(run), actions(run)) == (RunStatus.PAUSED, [], ["run.pause"])
    with tenant(run.account_id):
        assert grant_budget(run=run, amount_usd=Decimal("0.5"), actor=actor) == Decimal("0.5")
    escrow = escrow_of(run)
    assert (escrow.amount_usd, escrow.granted_usd, escrow.closed_at) == (Decimal("1.5"), Decimal("0.5"), None)
    with platform():
        event = AuditEvent.objects.get(action="run.grant")
    assert event.data == {"pause": 1, "amount_usd": "0.5", "got_usd": "0.500000000000"}


def test_a_hard_budget_that_is_out_keeps_the_run_waiting(owner: Tenant, actor: User):
    run = paused(owner, spent="0.25")
    make_budget(owner, "0.2")
    other = make_run(owner)
    open_escrow(run=other, wanted_usd=Decimal("0.2"))
    with pytest.raises(BudgetExhausted, match=r"for today \(0\.20 USD\)"), tenant(run.account_id):
        grant_budget(run=run, amount_usd=Decimal(5), actor=actor)
    assert (read(run).status, escrow_of(run).granted_usd) == (RunStatus.PAUSED, Decimal(0))
    assert commands(run) == []


def test_a_grant_to_a_run_that_works_is_added_to_its_escrow(owner: Tenant, actor: User):
    run = make_run(owner)
    open_escrow(run=run, wanted_usd=Decimal(1))
    with tenant(run.account_id):
        grant_budget(run=run, amount_usd=Decimal(2), actor=actor)
    assert (escrow_of(run).amount_usd, escrow_of(run).granted_usd, commands(run)) == (Decimal(3), Decimal(2), [])
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(status=RunStatus.FAILED, finished_at=run.created_at)
    with pytest.raises(RunHasEnded), tenant(run.account_id):
        grant_budget(run=run, amount_usd=Decimal(2), actor=actor)


def test_an_outsider_can_let_nothing_go_on(owner: Tenant, actor: User):
    run, outsider = paused(owner, spent="0.25"), make_tenant()
    with pytest.raises(AgentRun.DoesNotExist), tenant(outsider.account.pk):
        resume_run(run=run, actor=actor)
    with pytest.raises(AgentRun.DoesNotExist), tenant(outsider.account.pk):
        grant_budget(run=run, amount_usd=Decimal(1), actor=actor)
    assert (read(run).status, escrow_of(run).granted_usd) == (RunStatus.PAUSED, Decimal(0))


def test_a_session_begins_once_however_often_it_is_asked(tmp_path: Path):
    assert begin_session(str(tmp_path), lines=9, turns=3) == Session()
    for name in (SPOOL_NAME, files.STATE, files.EXIT):
        (tmp_path / name).write_text(
            '{"reason": "finished", "exit_code": 0, "closing_event": true, "started_at": "", "ended_at": ""}'
        )
    second = Session(number=2, lines=9, turns=3)
    assert [begin_session(str(tmp_path), lines=9, turns=3) for _ in range(2)] == [second, second]
    assert current_session(str(tmp_path)) == second
    assert sorted(path.name for path in (tmp_path / "sessions" / "1").iterdir()) == sorted(
        [SPOOL_NAME, files.STATE, files.EXIT]
    )
    assert not (tmp_path / SPOOL_NAME).exists()


@pytest.mark.django_db(transaction=True)
def test_a_run_out_of_money_waits_and_a_grant_brings_it_to_its_pull_request(
    house: House, gateway: GatewayServer, settings: Any
):
    account, actor = account_with_owner()
    with tenant(account.pk):
        project = create_sample_project(account=account)
        Project.objects.filter(pk=project.pk).update(settings={"limits": {"cost_usd": "0.19"}})
        run = start_demo_run(account=account, actor=actor)
    until(lambda: read(run).status == RunStatus.PAUSED or read(run).finished_at is not None, house)
    run = read(run)
    assert (run.status, run.pauses) == (RunStatus.PAUSED, 1), house.logs()
    spent_before, lines_before = run.cost_usd, log_rows(run)
    assert 0 < spent_before <= Decimal("0.19")
    assert escrow_of(run).closed_at is not None
    assert supervisors_of(run, settings) == []
    with platform():
        assert RunStep.objects.get(agent_run=run, name="agent").status == "paused"
        alert = BudgetAlert.objects.get(account_id=account.pk)
    assert (alert.agent_run_id, alert.cost_budget_id, alert.limit_usd) == (run.pk, None, Decimal("0.19"))

    with tenant(account.pk):
        grant_budget(run=run, amount_usd=Decimal(5), actor=actor)
    run = ended(run, house)
    assert (run.status, run.error) == (RunStatus.COMPLETED, ""), house.logs()
    assert run.cost_usd > spent_before
    rows = log_rows(run)
    assert rows == sorted(set(rows))
    assert rows[: len(lines_before)] == lines_before
    assert len(rows) > len(lines_before) + 5
    with platform():
        assert PullRequest.objects.filter(project=run.project).count() == 1
    assert git_text(local_repository(run.project), "rev-list", "--count", f"main..{run.branch}") == "1"
    assert_ledger_is_what_the_model_served(run, gateway)
    assert escrow_of(run).closed_at is not None
