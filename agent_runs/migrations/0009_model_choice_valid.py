from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Apart from its making: reading every row takes no lock that writers meet."""

    dependencies = [
        ('agent_runs', '0008_model_choice'),
    ]

    operations = [
        ValidateConstraint(model_name='agentrun', name='agent_runs_trigger_known'),
    ]
