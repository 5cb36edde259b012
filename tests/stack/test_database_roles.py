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
