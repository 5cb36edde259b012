from typing import ClassVar

from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    # A transaction for each step, or none.
    atomic = False
    dependencies: ClassVar = [("agent_runs", "0019_newest_mentions")]

    operations: ClassVar = [RemoveIndexConcurrently("agentrun", "agent_runs_mentions")]
