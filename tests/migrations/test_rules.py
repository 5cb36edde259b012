"""What the database refuses, whoever asks."""

import threading
from datetime import timedelta
from decimal import Decimal
from uuid import uuid4

import pytest
from django.db import DatabaseError, IntegrityError, connection, connections, transaction
from django.utils import timezone

from accounts.models import Account, AuditEvent, Membership, Role
from agent_runs.models import AgentRun, AgentRunLog, RunStatus
from agent_runs.models.runs import NEXT_STATUSES
from metrics.models import BudgetReservation, TokenUsage
from paid.lib.tenancy import platform, tenant
from projects.models import Issue, Project
from prompts.models import ModelPrice, PromptVersion
from tests.factories import account_with_owner
from tests.factories.accounts import AccountFactory, AuditEventFactory, MembershipFactory, UserFactory
from tests.factories.agent_runs import AgentRunFactory, AgentRunLogFactory, finished_run
from tests.factories.metrics import BudgetReservationFactory, TokenUsageFactory
from tests.factories.projects import IssueFactory, ProjectFactory
from tests.factories.prompts import ModelPriceFactory, PromptVersionFactory, global_prompt, prompt_with_version


def check_deferred() -> None:
    with connection.cursor() as cursor:
        cursor.execute("SET CONSTRAINTS ALL IMMEDIATE")
        cursor.execute("SET CONSTRAINTS ALL DEFERRED")


@pytest.mark.django_db
@pytest.mark.parametrize("status", RunStatus)
def test_the_database_and_python_agree_on_where_a_run_may_go(status):
    with connection.cursor() as cursor:
        cursor.execute("SELECT agent_run_next_statuses(%s)", [status])
        assert cursor.fetchone()[0] == list(NEXT_STATUSES[status])


@pytest.mark.django_db
def test_a_run_that_has_ended_stays_ended():
    run = finished_run(status=RunStatus.FAILED)
    with pytest.raises(IntegrityError, match="cannot go from failed to running"), platform():
        AgentRun.objects.filter(pk=run.pk).update(status=RunStatus.RUNNING, finished_at=None)
    with platform():
        assert AgentRun.objects.get(pk=run.pk).status == RunStatus.FAILED


@pytest.mark.django_db
def test_a_run_never_changes_its_time_or_account():
    run = AgentRunFactory()
    with pytest.raises(IntegrityError, match="are fixed"), platform():
        AgentRun.objects.filter(pk=run.pk).update(created_at=run.created_at - timedelta(days=1))


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("agent_runs_status_known", {"status": "dreaming", "finished_at": timezone.now(), "run_token_hash": None}),
        ("agent_runs_trigger_known", {"trigger": "weather"}),
        ("agent_runs_counts_not_negative", {"pauses": -1}),
        ("agent_runs_ended_has_time_and_no_token", {"status": RunStatus.FAILED}),
        ("agent_runs_paused_since_when", {"paused_at": timezone.now()}),
        ("agent_runs_version_account", {"version_account_id": -1}),
        ("agent_runs_model_account", {"model_account_id": -1}),
    ],
)
def test_what_a_run_may_say_is_held_by_the_database_when_it_is_new_and_when_it_changes(rule, values):
    run = AgentRunFactory()
    with platform():
        with pytest.raises(IntegrityError, match=rule), transaction.atomic():
            AgentRun.objects.filter(pk=run.pk).update(**values)
        with pytest.raises(IntegrityError, match=rule):
            AgentRunFactory(**values)


@pytest.mark.django_db
def test_the_sums_of_a_run_are_written_without_a_look_at_the_rules_of_other_columns():
    written = {"input_tokens", "output_tokens", "cache_read_tokens", "cache_write_tokens", "cost_usd", "unpriced_calls"}
    with connection.cursor() as cursor:
        cursor.execute("""
            SELECT t.tgname, array_agg(a.attname)
            FROM pg_trigger t
            LEFT JOIN pg_attribute a ON a.attrelid = t.tgrelid AND a.attnum = ANY (t.tgattr)
            WHERE t.tgrelid = 'agent_runs'::regclass AND t.tgfoid = 'refuse_row'::regproc GROUP BY 1""")
        rules = dict(cursor.fetchall())
    assert len(rules) == 7
    assert [name for name, columns in rules.items() if None in columns or written & set(columns)] == []


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("budget_reservations_not_negative", {"granted_usd": Decimal("-0.1")}),
        ("budget_reservations_not_overdrawn", {"drawn_usd": Decimal("1.1")}),
        ("budget_reservations_not_overdrawn", {"drawn_usd": Decimal("-0.1")}),
    ],
)
def test_an_escrow_is_not_drawn_beyond_what_it_holds_nor_given_less_than_nothing(rule, values):
    escrow = BudgetReservationFactory(amount_usd=Decimal(1))
    with platform():
        with pytest.raises(IntegrityError, match=rule), transaction.atomic():
            BudgetReservation.objects.filter(pk=escrow.pk).update(**values)
        with pytest.raises(IntegrityError, match=rule):
            BudgetReservationFactory(amount_usd=Decimal(1), **values)


@pytest.mark.django_db
@pytest.mark.parametrize("rows", [1, 2])
@pytest.mark.parametrize(
    ("rule", "values"),
    [
        ("token_usages_kind_known", {"kind": "gift"}),
        ("token_usages_corrections_name_a_call", {"kind": "correction"}),
        ("token_usages_corrections_name_a_call", {"corrects_request_id": uuid4()}),
        ("token_usages_calls_are_not_negative", {"input_tokens": -1}),
        ("token_usages_calls_are_not_negative", {"cache_write_tokens": 1, "cache_write_1h_tokens": 2}),
        ("token_usages_calls_are_not_negative", {"cost_usd": Decimal("-0.1")}),
        ("token_usages_unpriced_is_zero", {"is_priced": False}),
    ],
)
def test_what_a_ledger_row_may_say_is_held_by_the_database_alone_or_among_others(rule, values, rows):
    run = AgentRunFactory()
    right = [TokenUsageFactory.build(run=run) for _ in range(rows - 1)]
    with platform(), pytest.raises(IntegrityError, match=rule):
        TokenUsage.objects.bulk_create([*right, TokenUsageFactory.build(run=run, **values)])


@pytest.mark.django_db(databases=["owner"])
def test_what_is_no_number_is_no_cost():
    """Django takes none either; a statement of our own might."""
    row = '{"kind": "call", "is_priced": true, "cost_usd": "NaN"}'
    with connections["owner"].cursor() as cursor:
        cursor.execute("SELECT ledger_broken_rule(jsonb_populate_record(NULL::token_usages, %s))", [row])
        assert cursor.fetchone() == ("token_usages_cost_is_a_number",)


@pytest.mark.django_db
def test_an_issue_has_one_live_run():
    run = AgentRunFactory()
    with pytest.raises(IntegrityError, match="agent_runs_one_live_per_issue"):
        AgentRunFactory(project=run.project, issue=run.issue)


@pytest.mark.django_db
def test_the_last_owner_cannot_leave():
    account, owner = account_with_owner()
    MembershipFactory(account=account, role=Role.ADMIN)
    with pytest.raises(IntegrityError, match="the last owner of account"), platform():
        Membership.objects.filter(user=owner).delete()
        check_deferred()
    with platform():
        assert Membership.objects.filter(user=owner, role=Role.OWNER).count() == 1


@pytest.mark.django_db
def test_an_owner_may_hand_over_in_one_transaction():
    account, owner = account_with_owner()
    heir = UserFactory()
    with tenant(account.pk, owner.pk):
        Membership.objects.filter(user=owner).update(role=Role.MEMBER)
        Membership.objects.create(account=account, user=heir, role=Role.OWNER)
        check_deferred()
        assert Membership.objects.get(role=Role.OWNER).user_id == heir.pk


@pytest.mark.django_db(transaction=True)
def test_of_two_owners_who_leave_at_once_one_stays():
    account = AccountFactory()
    owners = [MembershipFactory(account=account, role=Role.OWNER) for _ in range(2)]
    both_deleted = threading.Barrier(2, timeout=60)
    refused: list[str] = []

    def leave(membership: Membership) -> None:
        try:
            with platform():
                Membership.objects.filter(pk=membership.pk).delete()
                both_deleted.wait()
        except IntegrityError as error:
            refused.append(str(error).split("\n")[0])
        finally:
            connections.close_all()

    threads = [threading.Thread(target=leave, args=[membership]) for membership in owners]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(timeout=120)
    assert refused == [f"the last owner of account {account.pk} cannot leave"]
    with platform():
        assert Membership.objects.filter(account=account, role=Role.OWNER).count() == 1


@pytest.mark.django_db(databases=["default", "owner"], transaction=True)
@pytest.mark.parametrize(
    ("factory", "statement"),
    [
        (PromptVersionFactory, "UPDATE prompt_versions SET template = 'other'"),
        (PromptVersionFactory, "TRUNCATE prompt_versions CASCADE"),
        (ModelPriceFactory, "UPDATE model_prices SET usd_per_million = 0"),
        (TokenUsageFactory, "UPDATE token_usages SET cost_usd = 0"),
        (TokenUsageFactory, "DELETE FROM token_usages"),
        (TokenUsageFactory, "TRUNCATE token_usages"),
        (AuditEventFactory, "UPDATE audit_events SET action = 'other'"),
        (AuditEventFactory, "DELETE FROM audit_events"),
    ],
)
def test_what_is_written_once_is_never_changed_even_by_the_owner(factory, statement):
    row = factory()
    with pytest.raises(DatabaseError, match="is refused: its rows are never changed"):
        run_as_owner(statement)
    with platform():
        assert type(row).objects.filter(pk=row.pk).count() == 1


def run_as_owner(statement: str) -> None:
    with transaction.atomic(using="owner"), connections["owner"].cursor() as cursor:
        cursor.execute(statement)


@pytest.mark.django_db
@pytest.mark.parametrize("model", [PromptVersion, ModelPrice, TokenUsage, AuditEvent])
def test_the_platform_lacks_even_the_privilege_to_change_it(model):
    with pytest.raises(DatabaseError, match="permission denied"), platform():
        model.objects.update(account_id=0)


@pytest.mark.django_db
def test_a_row_cannot_point_into_another_tenant():
    mine, theirs = ProjectFactory(), ProjectFactory()
    with pytest.raises(IntegrityError, match="issues_project_fk"), tenant(mine.account_id):
        Issue.objects.create(account_id=mine.account_id, project_id=theirs.pk, number=1, title="Mine?")
        check_deferred()


@pytest.mark.django_db
def test_a_run_may_use_a_global_prompt_and_none_of_a_strangers():
    project = ProjectFactory()
    shared, strange = global_prompt(), prompt_with_version()
    issues = [IssueFactory(project=project) for _ in range(2)]
    AgentRunFactory(project=project, issue=issues[0], prompt_version=shared.current_version)
    check_deferred()
    with pytest.raises(IntegrityError, match="agent_runs_version_account"):
        AgentRunFactory(project=project, issue=issues[1], prompt_version=strange.current_version)
    with pytest.raises(IntegrityError, match="agent_runs_version_fk"), platform():
        AgentRunFactory(
            project=project,
            issue=issues[1],
            prompt_version=strange.current_version,
            version_account_id=project.account_id,
        )
        check_deferred()


@pytest.mark.django_db
@pytest.mark.parametrize("factory", [AgentRunLogFactory, TokenUsageFactory])
def test_a_row_of_the_log_or_the_ledger_matches_its_run(factory):
    run = AgentRunFactory()
    stranger = AccountFactory()
    with pytest.raises(IntegrityError, match="do not match account and time of their run"):
        factory(run=run, account_id=stranger.pk)
    with pytest.raises(IntegrityError, match="do not match account and time of their run"):
        factory(run=run, run_created_at=run.created_at + timedelta(microseconds=1))
    with platform():
        assert AgentRunLog.objects.count() + TokenUsage.objects.count() == 0


@pytest.mark.django_db
def test_the_platform_copies_logs_in_and_a_tenant_may_not():
    run = AgentRunFactory()
    copy_log(run, seqs=[1, 2])
    with tenant(run.account_id):
        assert list(AgentRunLog.objects.order_by("seq").values_list("content", flat=True)) == ["line 1", "line 2"]
    with pytest.raises(DatabaseError, match="permission denied"), tenant(run.account_id), transaction.atomic():
        with connection.cursor() as cursor:
            cursor.execute("COPY agent_run_logs FROM STDIN")


def copy_log(run: AgentRun, seqs: list[int]) -> None:
    columns = "account_id, run_created_at, agent_run_id, seq, kind, content"
    with platform(), connection.cursor() as cursor, cursor.copy(f"COPY agent_run_logs ({columns}) FROM STDIN") as copy:
        for seq in seqs:
            copy.write_row((run.account_id, run.created_at, run.pk, seq, "stdout", f"line {seq}"))


@pytest.mark.django_db
def test_a_changed_row_says_when():
    project = ProjectFactory()
    with tenant(project.account_id):
        Project.objects.filter(pk=project.pk).update(name="Renamed")
        assert Project.objects.get(pk=project.pk).updated_at > project.updated_at


@pytest.mark.django_db
def test_the_global_account_exists_and_no_other_may_take_its_slug():
    with platform():
        assert Account.objects.get(slug="global").pk == 0
    with pytest.raises(IntegrityError, match="accounts_slug_unique"):
        AccountFactory(slug="global")
