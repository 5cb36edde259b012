"""Fills the texts of runs that were there before the triggers."""

from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    # A transaction for each step, or none.
    atomic = False
    dependencies: ClassVar = [("agent_runs", "0016_run_texts")]

    operations: ClassVar = [SqlFile("agent_runs", "texts_of_past_runs")]
