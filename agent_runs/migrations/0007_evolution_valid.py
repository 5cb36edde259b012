from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Apart from their making: reading every row takes no lock that writers meet."""

    dependencies = [
        ('agent_runs', '0006_evolution'),
    ]

    operations = [
        ValidateConstraint(model_name='agentrun', name='agent_runs_trigger_known'),
    ]
