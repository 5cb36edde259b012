"""Tests run as the application does: logged in as paid_app, acting as paid_tenant."""

import pytest
from django.db import connection


@pytest.mark.django_db
def test_the_default_connection_is_a_tenant_logged_in_as_the_application():
    with connection.cursor() as cursor:
        cursor.execute("SELECT session_user, current_user, current_setting('is_superuser')")
        assert cursor.fetchone() == ("paid_app", "paid_tenant", "off")


@pytest.mark.django_db(transaction=True)
def test_a_transactional_test_leaves_what_the_migrations_made():
    with connection.cursor() as cursor:
        cursor.execute("SELECT count(*) FROM pg_stat_database")
        assert cursor.fetchone() is not None


@pytest.mark.django_db
def test_the_roles_have_no_power_that_they_do_not_need():
    """Login, superuser, create roles, create databases, replicate, bypass row-level security, inherit."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT rolname, rolcanlogin, rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls"
            " FROM pg_roles WHERE rolname LIKE 'paid\\_%' ORDER BY rolname"
        )
        assert cursor.fetchall() == [
            ("paid_app", True, False, False, False, False, False),
            ("paid_owner", True, False, False, True, False, True),
            ("paid_platform", False, False, False, False, False, True),
            ("paid_tenant", False, False, False, False, False, False),
        ]


@pytest.mark.django_db
def test_the_login_is_two_roles_and_has_nothing_of_its_own():
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT roleid::regrole::text, member::regrole::text FROM pg_auth_members"
            " WHERE member::regrole::text LIKE 'paid\\_%' AND member <> 'paid_owner'::regrole ORDER BY 1"
        )
        assert cursor.fetchall() == [("paid_platform", "paid_app"), ("paid_tenant", "paid_app")]
        cursor.execute("SELECT rolinherit FROM pg_roles WHERE rolname = 'paid_app'")
        assert cursor.fetchone() == (False,)
        cursor.execute(
            "SELECT relname FROM pg_class, aclexplode(relacl) WHERE grantee = 'paid_app'::regrole"
            " UNION ALL SELECT proname FROM pg_proc, aclexplode(proacl) WHERE grantee = 'paid_app'::regrole"
        )
        assert cursor.fetchall() == []


@pytest.mark.django_db
@pytest.mark.parametrize("role", ["paid_tenant", "paid_platform", "paid_app"])
def test_nobody_but_the_owner_makes_anything_in_the_database(role: str):
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT has_schema_privilege(%s, 'public', 'CREATE'),"
            " has_database_privilege(%s, current_database(), 'CREATE'),"
            " (SELECT count(*) FROM pg_class WHERE pg_get_userbyid(relowner) = %s)",
            [role, role, role],
        )
        assert cursor.fetchone() == (False, False, 0)


@pytest.mark.django_db
def test_a_function_that_acts_as_the_owner_for_tenants_looks_at_whose_rows_it_gives():
    """Row-level security does not reach inside of it. A trigger's function is called by nobody."""
    with connection.cursor() as cursor:
        cursor.execute(
            "SELECT proname, pg_get_functiondef(oid) LIKE '%%current_account()%%'"
            " FROM pg_proc WHERE pronamespace = 'public'::regnamespace AND prosecdef"
            " AND prorettype <> 'trigger'::regtype AND has_function_privilege('paid_tenant', oid, 'EXECUTE')"
            " ORDER BY proname"
        )
        functions = cursor.fetchall()
    assert len(functions) >= 2
    # These two find the account by the digest of a token of the API: the caller has none before.
    by_token = {"resolve_prompt_by_token", "use_api_token"}
    assert {name for name, looks in functions if not looks} == by_token
