"""Indexes for searches by scope and by setting: `@>` only, no pending list that a reader would have to walk."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations
from django.db.models import F


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("accounts", "0003_partition_maintenance")]

    operations: ClassVar = [
        AddIndexConcurrently(
            "githubtoken", GinIndex(F("account"), F("scopes"), name="github_tokens_scopes", fastupdate=False)
        ),
        RemoveIndexConcurrently("githubtoken", "github_tokens_scopes_gin"),
        AddIndexConcurrently(
            "account",
            GinIndex(OpClass("settings", name="jsonb_path_ops"), name="accounts_settings", fastupdate=False),
        ),
        RemoveIndexConcurrently("account", "accounts_settings_gin"),
    ]
