from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("agent_runs", "0015_runs_of_agent"), ("projects", "0017_newest_projects")]

    operations: ClassVar = [SqlFile("agent_runs", "run_texts")]
