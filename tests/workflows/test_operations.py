"""Starting, stopping and retrying a run, in the database alone."""

import threading
from decimal import Decimal
from typing import Any

import pytest
from django.core.management import call_command
from django.db import DatabaseError, connection

from accounts.models import AuditEvent, User
from agent_runs.errors import RunAlreadyLive, RunHasEnded, RunIsStillLive
from agent_runs.models import AgentRun, ModelSelection, RunStatus, RunStep, RunTrigger
from agent_runs.operations import finish_run, record_outcome
from metrics.errors import BudgetExhausted
from metrics.models import BudgetReservation
from paid.lib.tenancy import platform, tenant
from projects.models import Issue, Project, WorkState
from tests.factories import account_with_owner
from tests.factories.metrics import CostBudgetFactory
from tests.factories.projects import IssueFactory, ProjectFactory
from tests.factories.prompts import StyleGuideFactory
from workflows.errors import IssueIsClosed, ProjectIsSwitchedOff
from workflows.models import OutboxCommand
from workflows.operations import retry_run, start_run, start_run_once, stop_run
from workflows.operations.fingerprint import fingerprint

pytestmark = pytest.mark.django_db(transaction=True)


@pytest.fixture
def issue() -> Issue:
    call_command("seed_prompts", verbosity=0)
    call_command("sync_models", verbosity=0)
    account, _ = account_with_owner()
    project = ProjectFactory(account=account, settings={"is_demo": True, "limits": {"turns": 12, "cost_usd": "1.5"}})
    made: Issue = IssueFactory(project=project, number=42, title="Slugs have holes")
    return made


@pytest.fixture
def owner(issue: Issue) -> User:
    with platform():
        return User.objects.get(memberships__account_id=issue.account_id)


def start(issue: Issue, actor: User | None = None, **options: Any) -> AgentRun:
    with tenant(issue.account_id):
        fresh = Issue.objects.select_related("project__account").get(pk=issue.pk)
        return start_run(project=fresh.project, issue=fresh, actor=actor, **options)


def nothing_was_written(account_id: int) -> bool:
    with platform():
        tables = (AgentRun, BudgetReservation, RunStep, ModelSelection, OutboxCommand, AuditEvent)
        return not any(table.objects.filter(account_id=account_id).exists() for table in tables)


def test_it_decides_everything_in_one_transaction(issue: Issue, owner: User):
    run = start(issue, owner)
    with platform():
        selection = ModelSelection.objects.get(agent_run=run)
        escrow = BudgetReservation.objects.get(agent_run=run)
        command = OutboxCommand.objects.get(account_id=run.account_id)
        event = AuditEvent.objects.get(account_id=run.account_id)
        run = AgentRun.objects.select_related("language_model", "issue").get(pk=run.pk)
    assert (run.status, run.trigger, run.requested_by_id) == (RunStatus.QUEUED, RunTrigger.PERSON, owner.pk)
    assert run.language_model.is_scripted
    assert "Slugs have holes" in run.prompt_text
    assert run.limits == {"turns": 12, "wall_seconds": 3600, "stall_seconds": 600, "cost_usd": "1.5"}
    assert run.fingerprint == fingerprint(run)
    assert (selection.language_model_id, selection.selected_by) == (run.language_model_id, "rules")
    assert escrow.amount_usd == Decimal("1.5")
    assert (command.workflow_id, command.signal) == (f"issue-{run.project_id}-42", "start_run")
    assert command.payload == {"account_id": run.account_id, "run_id": run.pk}
    assert (event.action, event.object_id, event.actor_user_id) == ("run.start", str(run.pk), owner.pk)
    assert run.issue.work_state == WorkState.QUEUED


def test_the_nearest_style_guide_reaches_the_agent(issue: Issue):
    StyleGuideFactory(account=issue.account, project=None, raw_text="Of the account.")
    StyleGuideFactory(account=issue.account, project=issue.project, raw_text="Long.", compressed_text="Of the project.")

    prompt = start(issue).prompt_text

    assert "Of the project." in prompt
    assert "Of the account." not in prompt


def test_it_refuses_a_second_running_run(issue: Issue):
    first = start(issue)
    with pytest.raises(RunAlreadyLive, match="already works on issue #42"):
        start(issue)
    with platform():
        assert list(AgentRun.objects.filter(issue=issue)) == [first]
        assert OutboxCommand.objects.filter(account_id=issue.account_id).count() == 1
        assert BudgetReservation.objects.filter(account_id=issue.account_id).count() == 1


def test_of_many_who_start_at_once_one_gets_a_run(issue: Issue):
    barrier = threading.Barrier(6, timeout=60)
    outcomes: list[str] = []

    def attempt() -> None:
        barrier.wait()
        try:
            start(issue)
            outcomes.append("started")
        except RunAlreadyLive:
            outcomes.append("refused")
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, daemon=True) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    assert sorted(outcomes) == ["refused"] * 5 + ["started"]
    with platform():
        assert OutboxCommand.objects.filter(account_id=issue.account_id).count() == 1


def test_of_many_who_start_under_one_key_at_once_all_get_the_same_run(issue: Issue):
    barrier = threading.Barrier(4, timeout=60)
    runs: list[int] = []

    def attempt() -> None:
        barrier.wait()
        try:
            with tenant(issue.account_id):
                fresh = Issue.objects.select_related("project__account").get(pk=issue.pk)
                run = start_run_once(
                    project=fresh.project, issue=fresh, actor_name="CI", key="deploy-7", digest=bytes(32)
                )
            runs.append(run.pk)
        finally:
            connection.close()

    threads = [threading.Thread(target=attempt, daemon=True) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(120)
    with platform():
        assert runs == [AgentRun.objects.get(issue=issue).pk] * 4
        assert OutboxCommand.objects.filter(account_id=issue.account_id).count() == 1


def test_a_budget_that_is_used_up_leaves_no_trace(issue: Issue):
    CostBudgetFactory(account=issue.account, limit_usd=Decimal(0))
    with pytest.raises(BudgetExhausted, match="raise the limit"):
        start(issue)
    assert nothing_was_written(issue.account_id)


@pytest.mark.parametrize(
    ("change", "refusal"),
    [
        (lambda issue: Project.objects.filter(pk=issue.project_id).update(is_active=False), ProjectIsSwitchedOff),
        (lambda issue: Issue.objects.filter(pk=issue.pk).update(state="closed"), IssueIsClosed),
    ],
    ids=["project off", "issue closed"],
)
def test_what_is_closed_starts_nothing(issue: Issue, change: Any, refusal: type[Exception]):
    with platform():
        change(issue)
    with pytest.raises(refusal):
        start(issue)
    assert nothing_was_written(issue.account_id)


def test_asking_to_stop_twice_is_asking_once(issue: Issue, owner: User):
    run = start(issue)
    with tenant(issue.account_id):
        stop_run(run=run, actor=owner)
        stop_run(run=run, actor=owner)
    with platform():
        signals = list(OutboxCommand.objects.filter(account_id=run.account_id).values_list("signal", flat=True))
        actions = AuditEvent.objects.filter(account_id=run.account_id).order_by("created_at")
        assert list(actions.values_list("action", flat=True)) == ["run.start", "run.stop"]
    assert sorted(signals) == ["start_run", "stop_run"]


def test_a_run_that_has_ended_cannot_be_stopped(issue: Issue):
    run = start(issue)
    with tenant(issue.account_id):
        finish_run(run=run, status=RunStatus.FAILED, error_code="internal", error="Something failed.")
    with tenant(issue.account_id), pytest.raises(RunHasEnded):
        stop_run(run=run, actor=None)
    with platform():
        assert OutboxCommand.objects.filter(account_id=run.account_id).count() == 1


def test_a_retry_is_a_new_run_that_names_the_old_one(issue: Issue):
    run = start(issue)
    with tenant(issue.account_id):
        with pytest.raises(RunIsStillLive):
            retry_run(run=run, actor=None)
        finish_run(run=run, status=RunStatus.FAILED, error_code="internal", error="Something failed.")
        again = retry_run(run=run, actor=None)
    assert (again.retry_of_id, again.status) == (run.pk, RunStatus.QUEUED)
    assert again.pk != run.pk


def test_the_first_end_of_a_run_stands(issue: Issue):
    run = start(issue)
    with tenant(issue.account_id):
        assert finish_run(run=run, status=RunStatus.STOPPED)
        assert not finish_run(run=run, status=RunStatus.FAILED, error_code="internal", error="Something failed.")
    with platform():
        assert AgentRun.objects.get(pk=run.pk).status == RunStatus.STOPPED


def test_last_words_that_a_database_cannot_hold_are_kept_as_far_as_possible(issue: Issue):
    run = start(issue)
    with tenant(issue.account_id):
        record_outcome(run=run, summary="nul \0 and half \ud83d of a pair")
    with platform():
        assert AgentRun.objects.get(pk=run.pk).summary == "nul \ufffd and half ? of a pair"


def test_another_tenant_cannot_start_a_run_here(issue: Issue):
    stranger, _ = account_with_owner()
    with platform():
        theirs = Issue.objects.select_related("project__account").get(pk=issue.pk)
    with pytest.raises(DatabaseError) as refusal, tenant(stranger.pk):
        start_run(project=theirs.project, issue=theirs, actor=None)
    assert 'new row violates row-level security policy for table "agent_runs"' in str(refusal.value)
    assert nothing_was_written(issue.account_id)
