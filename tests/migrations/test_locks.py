"""The check of migrations fails for what would hold a table, and passes what does not."""

from pathlib import Path

import pytest
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import models
from django.db.migrations import AddField, AddIndex, CreateModel, Migration
from django.db.migrations.operations.base import Operation
from django.db.migrations.state import ProjectState

from tests.migrations import locks

INDEX = models.Index(fields=["name"], name="tools_name")
TOOL = CreateModel("Tool", [("id", models.BigAutoField(primary_key=True)), ("name", models.TextField())])
FOUND = [
    ([AddIndex("Tool", INDEX)], "require-concurrent-index-creation"),
    ([AddField("Tool", "maker", models.TextField())], "adding-required-field"),
]


def migration_of(operations: list[Operation], *, is_atomic: bool) -> Migration:
    made: type[Migration] = type("Migration", (Migration,), {"operations": operations, "atomic": is_atomic})
    return made("0099_tools", "projects")


def judged(directory: Path, operations: list[Operation], *, is_atomic: bool = True) -> tuple[int, str]:
    """What squawk says of a migration of a table that has been there."""
    state = ProjectState()
    TOOL.state_forwards("projects", state)
    written, _ = locks.sql_of(migration_of(operations, is_atomic=is_atomic), state)
    (directory / "0099_tools.sql").write_text(written)
    found = locks.squawk(directory)
    return found.returncode, found.stdout


@pytest.mark.parametrize(("operations", "rule"), FOUND)
def test_it_fails_for_what_holds_a_table_that_is_in_use(tmp_path: Path, operations: list[Operation], rule: str):
    code, said = judged(tmp_path, operations)
    assert (code, f" warning: {rule} " in said) == (1, True)


def test_it_fails_for_a_concurrent_index_within_a_transaction_and_passes_it_alone(tmp_path: Path):
    operations: list[Operation] = [AddIndexConcurrently("Tool", INDEX)]
    code, said = judged(tmp_path, operations)
    assert (code, " warning: ban-concurrent-index-creation-in-transaction " in said) == (1, True)
    assert judged(tmp_path, operations, is_atomic=False)[0] == 0


def test_it_passes_an_index_of_a_table_that_the_same_migration_makes(tmp_path: Path):
    written, _ = locks.sql_of(migration_of([TOOL, AddIndex("Tool", INDEX)], is_atomic=True), ProjectState())
    (tmp_path / "0001_initial.sql").write_text(written)
    assert locks.squawk(tmp_path).returncode == 0
