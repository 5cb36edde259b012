import django.db.models.deletion
import django.db.models.functions.datetime
import paid.lib.constraints
from django.conf import settings
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0006_statistics'),
        ('agent_runs', '0003_paused_valid'),
        ('metrics', '0005_experiment_readings'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='qualitymetric',
            name='is_approved',
            field=models.BooleanField(blank=True, null=True),
        ),
        migrations.CreateModel(
            name='RunVote',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('value', models.SmallIntegerField()),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('agent_run', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='votes', to='agent_runs.agentrun')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'run_votes',
                'constraints': [models.UniqueConstraint(fields=('agent_run', 'user'), name='run_votes_one_each'), models.CheckConstraint(condition=models.Q(('value__in', (-1, 1))), name='run_votes_value_known'), paid.lib.constraints.TenantForeignKey(column='agent_run_id', name='run_votes_run_fk', on_delete='CASCADE', to='agent_runs')],
            },
        ),
        sql.SecureTenantTable("run_votes"),
        sql.SqlFile("metrics", "quality"),
    ]
