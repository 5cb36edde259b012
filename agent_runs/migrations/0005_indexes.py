import django.contrib.postgres.operations
from django.db import migrations, models


class Migration(migrations.Migration):
    """No index holds a run's cost any more: what a model call adds to it then touches no index at all."""

    # Indexes that are built and dropped beside the writers.
    atomic = False

    dependencies = [
        ('agent_runs', '0004_log_search'),
    ]

    operations = [
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name='agentrun',
            index=models.Index(fields=['account', '-created_at', '-id'], include=('status', 'project', 'language_model'), name='agent_runs_recent'),
        ),
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name='agentrun',
            index=models.Index(condition=models.Q(('status', 'failed')), fields=['account', '-created_at', '-id'], name='agent_runs_failed'),
        ),
        django.contrib.postgres.operations.RemoveIndexConcurrently(
            model_name='agentrun',
            name='agent_runs_newest',
        ),
        # Room on each page for the next version of a row, which may then stay beside the old one.
        migrations.RunSQL(
            "ALTER TABLE agent_runs SET (fillfactor = 80)", "ALTER TABLE agent_runs RESET (fillfactor)"
        ),
    ]
