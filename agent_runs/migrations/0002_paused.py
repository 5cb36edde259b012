from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('agent_runs', '0001_initial'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='runstep',
            name='agent_run_steps_status_known',
        ),
        migrations.AddField(
            model_name='agentrun',
            name='paused_at',
            field=models.DateTimeField(blank=True, null=True),
        ),
        migrations.AddField(
            model_name='agentrun',
            name='pauses',
            field=models.PositiveSmallIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='runstep',
            name='status',
            field=models.CharField(choices=[('running', 'Running'), ('paused', 'Paused'), ('done', 'Done'), ('failed', 'Failed'), ('skipped', 'Skipped')], max_length=20),
        ),
        AddConstraintNotValid(
            model_name='agentrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('paused_at__isnull', False), ('status', 'paused')), models.Q(models.Q(('status', 'paused'), _negated=True), ('paused_at__isnull', True)), _connector='OR'), name='agent_runs_paused_since_when'),
        ),
        AddConstraintNotValid(
            model_name='runstep',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['running', 'paused', 'done', 'failed', 'skipped'])), name='agent_run_steps_status_known'),
        ),
    ]
