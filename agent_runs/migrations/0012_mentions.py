from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("agent_runs", "0011_mentions_index")]

    operations: ClassVar = [SqlFile("agent_runs", "former/mentions")]
