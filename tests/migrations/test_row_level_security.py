"""No tenant reaches another's rows: every table and every partition is walked, none is listed by hand."""

import pytest
from django.apps import apps
from django.db import DatabaseError, ProgrammingError, connection, connections, transaction

from paid.lib.tenancy import platform, tenant
from tests.factories.accounts import AccountFactory
from tests.migrations.catalog import PROTECTION, unprotected
from tests.migrations.test_factories import FACTORIES

RELATIONS = """
SELECT c.relname, c.relispartition FROM pg_class c
WHERE c.relnamespace = 'public'::regnamespace AND c.relkind IN ('r', 'p', 'v', 'm')
  AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
ORDER BY c.relname
"""
PRIVILEGES = """
SELECT c.relname, string_agg(DISTINCT left(privilege_type, 1), '' ORDER BY left(privilege_type, 1)), c.relispartition
FROM pg_class c, aclexplode(c.relacl)
WHERE c.relnamespace = 'public'::regnamespace AND grantee = %s::regrole
GROUP BY c.relname, c.relispartition ORDER BY c.relname
"""
# S(elect) I(nsert) U(pdate) D(elete). The rest of a tenant's may be reached through operations of the platform.
TENANT_MAY = {
    "ab_test_readings": "DISU",
    "ab_tests": "DISU",
    "ab_variants": "DISU",
    "accounts": "S",  # and UPDATE of some columns
    "agent_run_diffs": "ISU",
    "agent_run_log_backlog": "S",
    "agent_run_log_chunks": "S",
    "agent_run_logs": "S",
    "agent_run_steps": "ISU",
    "agent_runs": "ISU",
    "alert_webhooks": "DISU",
    "api_tokens": "IS",  # and UPDATE of name and revoked_at
    "audit_events": "IS",
    "budget_alerts": "S",
    "budget_reservations": "S",
    "comments": "ISU",
    "cost_budgets": "DISU",
    "evolution_policies": "ISU",
    "evolutions": "ISU",
    "gateway_calls": "S",
    "github_tokens": "ISU",
    "issues": "ISU",
    "language_models": "ISU",
    "memberships": "DISU",
    "model_preferences": "DISU",
    "model_prices": "IS",
    "model_questions": "ISU",
    "model_selections": "IS",  # and UPDATE of all but its run
    "outbox": "IS",
    "project_memberships": "DISU",
    "projects": "ISU",
    "prompt_labels": "DISU",
    "prompt_versions": "IS",
    "prompts": "ISU",
    "provider_keys": "ISU",
    "pull_requests": "ISU",
    "quality_daily": "S",
    "quality_metrics": "ISU",
    "run_histograms": "S",
    "run_requests": "IS",
    "run_votes": "DISU",
    "runs_daily": "S",
    "spend_daily": "S",
    "style_guides": "DISU",
    "token_usages": "S",
    "usage_daily": "S",
    "users": "S",  # and UPDATE of some columns, of oneself
    "webhook_deliveries": "S",
    "workflow_states": "S",
}
PLATFORM_MAY = TENANT_MAY | {
    "accounts": "ISU",
    "agent_run_log_backlog": "IS",
    "agent_run_log_chunks": "IS",
    "agent_run_logs": "IS",
    "auth_group": "S",
    "auth_group_permissions": "S",
    "auth_permission": "S",
    "budget_alerts": "ISU",
    "budget_reservations": "ISU",
    "django_admin_log": "IS",
    "django_content_type": "IS",
    "django_migrations": "S",
    "detached_partitions": "S",
    "django_session": "DISU",
    "gateway_calls": "DISU",
    "ledger_months_gone": "S",
    "ledger_proof": "ISU",
    "log_index_lag": "S",
    "outbox": "DISU",
    "run_requests": "DIS",
    "partition_index_states": "S",
    "partition_indexes": "S",
    "partitioned_tables": "S",
    "partitions": "S",
    "price_sheets": "S",  # one row a look-up for each call
    "token_usages": "IS",
    "usage_daily": "ISU",
    "users": "ISU",
    "webhook_deliveries": "DISU",
    "workflow_states": "DISU",
}


def rows_or_refusal(relation: str) -> int | str:
    try:
        with transaction.atomic(), connection.cursor() as cursor:
            cursor.execute(f'SELECT count(*) FROM "{relation}"')
            return int(cursor.fetchone()[0])
    except ProgrammingError as error:
        return str(error).split(" for ")[0]


def relations() -> list[tuple[str, bool]]:
    with connection.cursor() as cursor:
        cursor.execute(RELATIONS)
        return list(cursor.fetchall())


@pytest.fixture
def a_row_everywhere(db):
    return {model._meta.db_table: factory() for model, factory in FACTORIES.items()}


def test_without_a_context_nothing_is_seen_in_any_table_or_partition(a_row_everywhere):
    with platform():
        assert all(rows_or_refusal(table) > 0 for table in a_row_everywhere)
    with connection.cursor() as cursor:
        cursor.execute("SELECT current_user::text")
        assert cursor.fetchone() == ("paid_tenant",)
    found = {name: rows_or_refusal(name) for name, _ in relations()}
    assert len(found) > 50
    assert {name: answer for name, answer in found.items() if answer not in (0, "permission denied")} == {}


def test_a_tenant_without_rows_sees_none_of_the_others(a_row_everywhere):
    stranger = AccountFactory()
    with tenant(stranger.pk):
        found = {name: rows_or_refusal(name) for name, is_partition in relations() if not is_partition}
    # Its own account and the global one.
    assert {name: answer for name, answer in found.items() if answer not in (0, "permission denied")} == {"accounts": 2}


def test_a_partition_is_refused_to_tenants_and_to_the_platform(a_row_everywhere):
    partitions = [name for name, is_partition in relations() if is_partition]
    assert len(partitions) >= 15
    with tenant(a_row_everywhere["accounts"].pk):
        assert {rows_or_refusal(name) for name in partitions} == {"permission denied"}
    with platform():
        assert {rows_or_refusal(name) for name in partitions} == {"permission denied"}


@pytest.mark.django_db
def test_every_table_of_tenants_and_every_partition_has_forced_security_and_its_policy():
    with connection.cursor() as cursor:
        assert unprotected(cursor) == []
        cursor.execute(PROTECTION)
        protected = {name for name, _, _ in cursor.fetchall()}
    of_models = {
        model._meta.db_table
        for model in apps.get_models()
        if any(field.column == "account_id" for field in model._meta.local_concrete_fields)
    }
    assert of_models <= protected
    assert len(of_models) > 30


@pytest.mark.django_db(databases=["owner"])
@pytest.mark.parametrize("table", ["issues", "token_usages_default"])
@pytest.mark.parametrize("damage", ["DROP POLICY tenant ON {}", "ALTER TABLE {} NO FORCE ROW LEVEL SECURITY"])
def test_the_walk_finds_a_table_whose_protection_was_taken_away(table, damage):
    with connections["owner"].cursor() as cursor:
        cursor.execute(damage.format(table))
        assert unprotected(cursor) == [table]


@pytest.mark.django_db
@pytest.mark.parametrize(("role", "expected"), [("paid_tenant", TENANT_MAY), ("paid_platform", PLATFORM_MAY)])
def test_a_role_has_exactly_these_privileges(role, expected):
    """A new table says here what it grants, and why anything more than reading is needed."""
    with connection.cursor() as cursor:
        cursor.execute(PRIVILEGES, [role])
        assert {name: letters for name, letters, _ in cursor.fetchall()} == expected


@pytest.mark.django_db
def test_nothing_is_granted_to_everybody():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT relname FROM pg_class, aclexplode(relacl)"
            " WHERE relnamespace = 'public'::regnamespace AND grantee = 0 AND relname NOT LIKE 'pg_stat_statements%'"
        )
        assert cursor.fetchall() == []


@pytest.mark.django_db
def test_functions_that_act_as_the_owner_have_a_fixed_path_and_are_not_for_everybody():
    with connection.cursor() as cursor:
        cursor.execute(
            """
            SELECT proname,
                   coalesce(array_to_string(proconfig, ' ') LIKE '%search_path=%public, pg_temp%', false),
                   proacl IS NOT NULL AND NOT EXISTS (SELECT FROM aclexplode(proacl) WHERE grantee = 0)
            FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef
            """
        )
        functions = cursor.fetchall()
    assert len(functions) >= 6
    assert [name for name, is_fixed, is_private in functions if not (is_fixed and is_private)] == []


@pytest.mark.django_db
def test_a_tenant_cannot_turn_its_row_over_to_another(a_row_everywhere):
    stranger = AccountFactory()
    issue = a_row_everywhere["issues"]
    with pytest.raises(DatabaseError, match="row-level security"), tenant(issue.account_id):
        type(issue).objects.filter(pk=issue.pk).update(account_id=stranger.pk)
    with platform():
        assert type(issue).objects.get(pk=issue.pk).account_id == issue.account_id
