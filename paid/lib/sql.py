"""SQL from `.sql` files: named statements for queries, and operations that run them in migrations.

A file is a row of sections. `-- name: WORD` opens one that is run forwards, `-- reverse: WORD` one that is run
backwards; the comment line below it says in one line what it is for. A file that a migration runs is never
edited after a release: a change is a new file and a new migration.
"""

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

from django.db import router
from django.db.backends.base.schema import BaseDatabaseSchemaEditor
from django.db.migrations.operations import CreateModel, RunSQL
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

ROOT = Path(__file__).resolve().parents[2]
HEADING = re.compile(r"^-- (?P<direction>name|reverse): (?P<name>\w+)$", re.MULTILINE)


class SqlFileError(Exception):
    """A .sql file is missing, has no sections, repeats a name, or a section does not say what it is for."""


@dataclass(frozen=True)
class Section:
    name: str
    is_reverse: bool
    sql: str


@cache
def sections(app: str, file: str) -> tuple[Section, ...]:
    """The sections of `<app>/sql/<file>.sql` in their order; `app` may be a path such as `paid.lib`."""
    path = ROOT.joinpath(*app.split(".")) / "sql" / f"{file}.sql"
    if not path.is_file():
        raise SqlFileError(f"{path.relative_to(ROOT)} does not exist.")
    text = path.read_text()
    headings = list(HEADING.finditer(text))
    ends = [heading.start() for heading in headings[1:]] + [len(text)]
    found = []
    for heading, end in zip(headings, ends, strict=False):
        body = text[heading.end() : end].strip()
        if not body.startswith("-- "):
            raise SqlFileError(f"{path.relative_to(ROOT)}: {heading['name']} does not say what it is for.")
        found.append(Section(heading["name"], heading["direction"] == "reverse", body))
    if not found or len({(section.name, section.is_reverse) for section in found}) != len(found):
        raise SqlFileError(f"{path.relative_to(ROOT)} has no sections, or two of one name.")
    return tuple(found)


def statement(app: str, file: str, name: str) -> str:
    """The text of one named statement, for `cursor.execute`."""
    for section in sections(app, file):
        if section.name == name and not section.is_reverse:
            return section.sql
    raise SqlFileError(f"{app}/sql/{file}.sql has no statement {name}.")


class SqlFile(RunSQL):
    """Runs the `name` sections of a file forwards and its `reverse` sections backwards.

    A file without reverse sections makes only what goes away with its tables (policies, grants, triggers).
    """

    def __init__(self, app: str, file: str) -> None:
        self.app, self.file = app, file
        parts = sections(app, file)
        self.forwards = tuple(part.sql for part in parts if not part.is_reverse)
        self.backwards = tuple(part.sql for part in parts if part.is_reverse)
        super().__init__(self.forwards, self.backwards)

    def _run_sql(self, schema_editor: BaseDatabaseSchemaEditor, sqls: Any) -> None:
        # Whole sections, unlike RunSQL: no splitting at semicolons, which function bodies are full of.
        for sql in sqls:
            schema_editor.execute(sql, params=None)

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        return type(self).__qualname__, [self.app, self.file], {}

    def describe(self) -> str:
        return f"Run {self.app}/sql/{self.file}.sql"


class ReplaceSqlFile(SqlFile):
    """Takes back what `former` made and makes what `file` says, and the other way round.

    A released file moves below `<app>/sql/former/`, where the migrations that ran it find it, and stands under its
    name as it is now.
    """

    def __init__(self, app: str, file: str, former: str) -> None:
        super().__init__(app, file)
        self.former = former
        before = SqlFile(app, former)
        self.sql = (*before.backwards, *self.forwards)
        self.reverse_sql = (*self.backwards, *before.forwards)

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        return type(self).__qualname__, [self.app, self.file, self.former], {}

    def describe(self) -> str:
        return f"Run {self.app}/sql/{self.file}.sql in the place of {self.former}.sql"


class CreatePartitionedModel(CreateModel):
    """CreateModel of a parent that is partitioned by range, with its default partition and its first ones.

    `unit` is `day` or `month`; `ahead` partitions are kept ready; `keep_days` is what retention keeps (None: all).
    Needs the functions of `paid/lib/sql/partitions.sql`. Secure the parent after this: partitions secure themselves.
    """

    serialization_expand_args = CreateModel.serialization_expand_args

    def __init__(
        self,
        name: str,
        fields: Any,
        options: Any = None,
        bases: Any = None,
        managers: Any = None,
        *,
        by: str,
        unit: str,
        ahead: int,
        keep_days: int | None,
    ) -> None:
        self.by, self.unit, self.ahead, self.keep_days = by, unit, ahead, keep_days
        super().__init__(name, fields, options, bases, managers)

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        name, args, kwargs = super().deconstruct()
        return (
            name,
            args,
            kwargs
            | {
                "by": self.by,
                "unit": self.unit,
                "ahead": self.ahead,
                "keep_days": self.keep_days,
            },
        )

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model = to_state.apps.get_model(app_label, self.name)
        if not self.allow_migrate_model(schema_editor.connection.alias, model):
            return
        plain = schema_editor.sql_create_table
        schema_editor.sql_create_table = f"{plain} PARTITION BY RANGE ({schema_editor.quote_name(self.by)})"
        try:
            schema_editor.create_model(model)
        finally:
            schema_editor.sql_create_table = plain
        schema_editor.execute(
            "SELECT register_partitioned_table(%s, %s, %s, %s)",
            [model._meta.db_table, self.unit, self.ahead, self.keep_days],
        )

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        model = from_state.apps.get_model(app_label, self.name)
        if self.allow_migrate_model(schema_editor.connection.alias, model):
            schema_editor.execute("DELETE FROM partitioned_tables WHERE name = %s", [model._meta.db_table])
        super().database_backwards(app_label, schema_editor, from_state, to_state)


class TableOperation(Operation):
    """One call of a function of ours with each of some tables; it undoes itself with the tables."""

    reduces_to_sql = True
    reversible = True
    function = ""

    def __init__(self, *tables: str) -> None:
        self.tables = tables

    def deconstruct(self) -> tuple[str, Sequence[Any], dict[str, Any]]:
        return type(self).__qualname__, list(self.tables), {}

    def state_forwards(self, app_label: str, state: ProjectState) -> None:
        """The tables' state stays as it is."""

    def database_forwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        if not router.allow_migrate(schema_editor.connection.alias, app_label):
            return
        for table in self.tables:
            schema_editor.execute(f"SELECT {self.function}(%s::regclass)", [table])

    def database_backwards(
        self, app_label: str, schema_editor: BaseDatabaseSchemaEditor, from_state: ProjectState, to_state: ProjectState
    ) -> None:
        """Policies and triggers go away with their tables, which the same migration made."""

    def describe(self) -> str:
        return f"{self.function}({', '.join(self.tables)})"


class SecureTenantTable(TableOperation):
    """Row-level security, forced, with the tenant's policy; on a partitioned table also on each partition."""

    function = "secure_tenant_table"


class ReadGlobalRows(TableOperation):
    """Tenants may read, never write, the rows of account 0."""

    function = "let_tenants_read_global_rows"


class KeepUpdatedAt(TableOperation):
    """A trigger that sets `updated_at` on every UPDATE."""

    function = "keep_updated_at"


class AppendOnly(TableOperation):
    """Triggers that refuse UPDATE, DELETE and TRUNCATE."""

    function = "make_append_only"


class Immutable(TableOperation):
    """Triggers that refuse UPDATE and TRUNCATE; a row may still go away with its parent."""

    function = "make_immutable"
