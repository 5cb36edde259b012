"""Runs by a text are looked for in spans of time."""

from typing import ClassVar

from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("agent_runs", "0018_parts_of_run_texts")]

    operations: ClassVar = [ReplaceSqlFile("agent_runs", "mentions", "former/mentions")]
