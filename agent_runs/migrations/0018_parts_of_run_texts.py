"""Makes the index of the texts, once they are there."""

from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    # A transaction for each step, or none.
    atomic = False
    dependencies: ClassVar = [("agent_runs", "0017_texts_of_past_runs")]

    operations: ClassVar = [SqlFile("agent_runs", "parts_of_run_texts")]
