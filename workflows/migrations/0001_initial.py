import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='OutboxCommand',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('workflow_type', models.CharField(max_length=100)),
                ('workflow_id', models.CharField(max_length=200)),
                ('task_queue', models.CharField(max_length=100)),
                ('signal', models.CharField(max_length=100)),
                ('payload', models.JSONField(db_default={}, default=dict)),
                ('dedupe_key', models.CharField(max_length=200)),
                ('attempts', models.PositiveIntegerField(db_default=0, default=0)),
                ('available_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('delivered_at', models.DateTimeField(blank=True, null=True)),
                ('last_error', models.TextField(blank=True, db_default='', default='')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'outbox',
                'indexes': [models.Index(condition=models.Q(('delivered_at__isnull', True)), fields=['available_at', 'id'], name='outbox_due')],
                'constraints': [models.UniqueConstraint(fields=('account', 'dedupe_key'), name='outbox_dedupe_unique')],
            },
        ),
        migrations.CreateModel(
            name='WorkflowState',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('workflow_id', models.CharField(max_length=200)),
                ('temporal_run_id', models.CharField(max_length=100)),
                ('workflow_type', models.CharField(max_length=100)),
                ('agent_run_id', models.BigIntegerField(blank=True, null=True)),
                ('status', models.CharField(choices=[('running', 'Running'), ('completed', 'Completed'), ('failed', 'Failed'), ('canceled', 'Cancelled'), ('terminated', 'Terminated'), ('timed_out', 'Timed out'), ('continued_as_new', 'Continued')], db_default='running', default='running', max_length=20)),
                ('input', models.JSONField(db_default={}, default=dict)),
                ('result', models.JSONField(blank=True, null=True)),
                ('error', models.TextField(blank=True, db_default='', default='')),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'workflow_states',
                'indexes': [models.Index(fields=['agent_run_id'], name='workflow_states_of_run'), models.Index(fields=['finished_at'], name='workflow_states_ended')],
                'constraints': [models.UniqueConstraint(fields=('workflow_id', 'temporal_run_id'), name='workflow_states_unique'), models.CheckConstraint(condition=models.Q(('status__in', ['running', 'completed', 'failed', 'canceled', 'terminated', 'timed_out', 'continued_as_new'])), name='workflow_states_status_known')],
            },
        ),
        sql.KeepUpdatedAt("workflow_states"),
        sql.SecureTenantTable("workflow_states", "outbox"),
        sql.SqlFile("workflows", "rules"),
    ]
