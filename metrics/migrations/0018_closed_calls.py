from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """The table of calls keeps those that are under way, and an index for all of them."""

    # Indexes that are built and dropped beside the writers, and many short transactions.
    atomic = False

    dependencies = [
        ('metrics', '0017_row_rules_valid'),
    ]

    operations = [
        SqlFile('metrics', 'closed_calls'),
        AddIndexConcurrently(
            model_name='gatewaycall',
            index=models.Index(fields=['agent_run_id'], name='gateway_calls_of_run'),
        ),
        RemoveIndexConcurrently(
            model_name='gatewaycall',
            name='gateway_calls_open',
        ),
    ]
