"""Indexes for searches by label and setting: `@>` only, within the account, no pending list for a reader to walk."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations
from django.db.models import F


def contains(column: str, name: str) -> GinIndex:
    return GinIndex(F("account"), OpClass(column, name="jsonb_path_ops"), name=name, fastupdate=False)


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("projects", "0004_no_totals"), ("accounts", "0005_found")]

    operations: ClassVar = [
        AddIndexConcurrently("project", contains("labels", "projects_labels")),
        AddIndexConcurrently("project", contains("settings", "projects_settings")),
        RemoveIndexConcurrently("project", "projects_labels_gin"),
        AddIndexConcurrently("issue", contains("labels", "issues_labels")),
        RemoveIndexConcurrently("issue", "issues_labels_gin"),
    ]
