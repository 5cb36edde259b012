"""Alone and beside the writers: the newest runs of an agent, also of one that few runs have."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("agent_runs", "0014_touched_always")]

    operations: ClassVar = [
        AddIndexConcurrently(
            "agentrun",
            models.Index(fields=["account", "agent", "-created_at", "-id"], name="agent_runs_of_agent"),
        ),
    ]
