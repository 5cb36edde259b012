from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('agent_runs', '0005_indexes'),
    ]

    operations = [
        migrations.AlterField(
            model_name='agentrun',
            name='trigger',
            field=models.CharField(choices=[('person', 'A person'), ('label', 'A label'), ('api', 'The API'), ('demo', 'The demo'), ('evolution', 'The evolution of a prompt')], max_length=20),
        ),
        migrations.RemoveConstraint(
            model_name='agentrun',
            name='agent_runs_trigger_known',
        ),
        AddConstraintNotValid(
            model_name='agentrun',
            constraint=models.CheckConstraint(condition=models.Q(('trigger__in', ['person', 'label', 'api', 'demo', 'evolution'])), name='agent_runs_trigger_known'),
        ),
    ]
