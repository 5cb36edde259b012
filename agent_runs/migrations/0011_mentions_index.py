"""Alone and beside the writers: the index of runs by a part of their branch or error."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations
from django.db.models import F


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("agent_runs", "0010_row_rules"), ("projects", "0013_issues_by_title")]

    operations: ClassVar = [
        AddIndexConcurrently(
            "agentrun",
            GinIndex(
                F("account"),
                OpClass("branch", name="gin_trgm_ops"),
                OpClass("error", name="gin_trgm_ops"),
                name="agent_runs_mentions",
                fastupdate=False,
            ),
        ),
    ]
