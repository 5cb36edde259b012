"""Holds the SQL of every migration of ours against squawk, which knows what locks a table for long. Needs no server.

`make check` runs it: `python -m tests.migrations.locks`. What is allowed, and why, stands in .squawk.toml.
"""

import os
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import django
from django.apps import apps
from django.db import connections
from django.db.backends.postgresql.schema import DatabaseSchemaEditor
from django.db.migrations import Migration
from django.db.migrations.loader import MigrationLoader
from django.db.migrations.state import ProjectState
from django.db.models import Model
from psycopg.sql import quote

ROOT = Path(__file__).resolve().parents[2]
OLDEST_POSTGRESQL = 150000


class WritingSchemaEditor(DatabaseSchemaEditor):
    """Writes down what it would run, as `sqlmigrate` does, which however asks a server twice."""

    def __init__(self) -> None:
        connection = connections["owner"]
        vars(connection)["pg_version"] = OLDEST_POSTGRESQL
        super().__init__(connection, collect_sql=True, atomic=False)

    def execute(self, sql: Any, params: Sequence[Any] | None = ()) -> None:
        # Values are put in here, where no connection knows its encoding; the grandparent only keeps what is whole.
        whole = str(sql) % tuple(quote(value) for value in params) if params else str(sql)
        super().execute(whole, None)

    def _constraint_names(self, model: type[Model], column_names: Sequence[str] | None = None, **_: Any) -> list[str]:
        # The server would know the name. One stands for it: what is locked, and how long, does not depend on it.
        return ["_".join([model._meta.db_table, *(column_names or ()), "constraint"])]


def sql_of(migration: Migration, state: ProjectState) -> tuple[str, ProjectState]:
    """Its statements, in a transaction where it runs in one, and the state after it."""
    with WritingSchemaEditor() as editor:
        state = migration.apply(state, editor, collect_sql=True)
    written = "\n".join(editor.collected_sql)
    return f"BEGIN;\n{written}\nCOMMIT;\n" if migration.atomic else written, state


def write_all(directory: Path) -> None:
    """A file for each migration of ours, `<app>/<name>.sql`, so that what one makes for itself is known to be new."""
    loader = MigrationLoader(None)
    state = ProjectState(real_apps=loader.unmigrated_apps)
    for key in dict.fromkeys(key for leaf in loader.graph.leaf_nodes() for key in loader.graph.forwards_plan(leaf)):
        app, name = key
        written, state = sql_of(loader.graph.nodes[key], state)
        if Path(apps.get_app_config(app).path).parent == ROOT:
            (directory / app).mkdir(exist_ok=True)
            (directory / app / f"{name}.sql").write_text(written)


def squawk(directory: Path) -> subprocess.CompletedProcess[str]:
    """Exit code 1 when it finds anything, with what to do instead in its words."""
    files = sorted(str(path.relative_to(directory)) for path in directory.rglob("*.sql"))
    argv = [str(Path(sys.executable).with_name("squawk")), "--config", str(ROOT / ".squawk.toml"), "--reporter", "gcc", *files]
    return subprocess.run(argv, cwd=directory, capture_output=True, text=True, check=False)


def main() -> int:
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "paid.settings")
    django.setup()
    with tempfile.TemporaryDirectory(prefix="paid-migrations-") as directory:
        write_all(Path(directory))
        found = squawk(Path(directory))
    print(found.stdout + found.stderr)  # noqa: T201 - a command's words
    return found.returncode


if __name__ == "__main__":
    sys.exit(main())
