import django.db.models.deletion
import django.db.models.functions.datetime
import paid.lib.constraints
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0011_api_scopes_valid'),
        ('agent_runs', '0007_evolution_valid'),
        ('workflows', '0002_running_states'),
    ]

    operations = [
        migrations.CreateModel(
            name='RunRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('key', models.CharField(max_length=255)),
                ('digest', models.BinaryField(max_length=32)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('agent_run', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='agent_runs.agentrun')),
            ],
            options={
                'db_table': 'run_requests',
                'indexes': [models.Index(fields=['created_at'], name='run_requests_age')],
                'constraints': [models.UniqueConstraint(fields=('account', 'key'), name='run_requests_key_unique'), paid.lib.constraints.TenantForeignKey(column='agent_run_id', name='run_requests_run_fk', on_delete='CASCADE', to='agent_runs')],
            },
        ),
        sql.SecureTenantTable("run_requests"),
        sql.SqlFile("workflows", "run_requests"),
    ]
