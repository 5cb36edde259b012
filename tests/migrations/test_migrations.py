"""The migrations are reversible, complete, and make what the models say."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import psycopg
import pytest
from django.apps import apps
from django.core.management import call_command
from django.db import connections
from psycopg import conninfo, sql

from tests.database import owner_connection
from tests.migrations.catalog import schema

ROOT = Path(__file__).resolve().parents[2]
OURS = ("accounts", "projects", "prompts", "agent_runs", "metrics", "workflows")
# What a model cannot say and migrations add: SQL files are tested by what they do.
BEYOND_MODELS = ("table ", "grant ", "trigger ", "policy ", "function ")


@pytest.fixture
def empty_database(django_db_setup, django_db_blocker):
    """The address of a new database that belongs to the owner."""
    name = f"paid_round_trip_{os.getpid()}"
    with django_db_blocker.unblock(), owner_connection() as owner:
        owner.autocommit = True
        owner.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
        where = conninfo.conninfo_to_dict(owner.info.dsn)
        password = owner.info.password
    yield f"postgresql://{where['user']}:{password}@{where['host']}:{where['port']}/{name}"
    with django_db_blocker.unblock(), owner_connection() as owner:
        owner.autocommit = True
        owner.execute(sql.SQL("DROP DATABASE {} WITH (FORCE)").format(sql.Identifier(name)))


def test_they_run_forwards_backwards_to_nothing_and_forwards_to_the_same_again(empty_database):
    environment = os.environ | {"DATABASE_OWNER_URL": empty_database, "PYTHONPATH": str(ROOT)}
    ran = subprocess.run(
        [sys.executable, "-m", "tests.migrations.round_trip"],
        cwd=ROOT,
        env=environment,
        capture_output=True,
        text=True,
        timeout=840,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr[-3000:]
    forwards, backwards, again = json.loads(ran.stdout)
    assert backwards == []
    assert len(forwards) > 500
    assert _lasting(again) == _lasting(forwards)


def _lasting(lines):
    """Without the partitions of days and months: midnight may lie between the two times that they were made."""
    return [line for line in lines if not re.search(r"_p\d{6,8}", line)]


@pytest.mark.django_db(databases=["default", "owner"])
def test_no_model_has_changed_without_a_migration():
    call_command("makemigrations", check_changes=True, dry_run=True, verbosity=0)


@pytest.mark.django_db(databases=["owner"])
def test_tables_are_what_their_models_say():
    """Each model's table is made anew beside the migrated ones: columns, defaults, constraints, keys and indexes."""
    connection = connections["owner"]
    with connection.cursor() as cursor:
        cursor.execute("CREATE SCHEMA expected")
        cursor.execute("SET LOCAL search_path = expected, public")
        with connection.schema_editor(atomic=False) as editor:
            for app in OURS:
                for model in apps.get_app_config(app).get_models():
                    editor.create_model(model)
            editor.deferred_sql.sort(key=lambda statement: "FOREIGN KEY" in str(statement))
        expected = _of_models(cursor, "expected")
        cursor.execute("SET LOCAL search_path = public")
        migrated = _of_models(cursor, "public")
    assert {"only in the database": migrated - expected, "only in the models": expected - migrated} == {
        "only in the database": set(),
        "only in the models": set(),
    }


def _of_models(cursor, name):
    tables = {model._meta.db_table for app in OURS for model in apps.get_app_config(app).get_models()}
    lines = schema(lambda query, values: cursor.execute(query, values) or cursor, name)
    return {line for line in lines if not line.startswith(BEYOND_MODELS) and _table_of(line) in tables}


def _table_of(line):
    words = line.replace("CREATE UNIQUE INDEX", "CREATE INDEX").split()
    # "column table.name …", "constraint table name …", "index CREATE INDEX name ON table USING …"
    return words[5] if words[0] == "index" else words[1].split(".")[0]


def test_the_owner_alone_owns_the_schema(django_db_setup, django_db_blocker):
    with django_db_blocker.unblock(), owner_connection() as owner:
        assert isinstance(owner, psycopg.Connection)
        strangers = owner.execute(
            "SELECT relname FROM pg_class WHERE relnamespace = 'public'::regnamespace"
            " AND relname NOT LIKE 'pg_stat_statements%' AND pg_get_userbyid(relowner) <> 'paid_owner'"
        ).fetchall()
    assert strangers == []
