from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):

    atomic = False  # CREATE INDEX CONCURRENTLY

    dependencies = [
        ('workflows', '0001_initial'),
    ]

    operations = [
        AddIndexConcurrently(
            model_name='workflowstate',
            index=models.Index(condition=models.Q(('status', 'running')), fields=['id'], name='workflow_states_running'),
        ),
    ]
