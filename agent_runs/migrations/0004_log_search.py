import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.datetime
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_partition_maintenance'),
        ('agent_runs', '0003_paused_valid'),
    ]

    operations = [
        migrations.CreateModel(
            name='LogBacklog',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('project_id', models.BigIntegerField()),
                ('run_created_at', models.DateTimeField()),
                ('agent_run_id', models.BigIntegerField()),
                ('first_seq', models.BigIntegerField()),
                ('last_seq', models.BigIntegerField()),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'agent_run_log_backlog',
                'indexes': [models.Index(fields=['account', 'run_created_at'], name='agent_run_log_backlog_account')],
            },
        ),
        sql.CreatePartitionedModel(
            name='LogChunk',
            fields=[
                ('pk', models.CompositePrimaryKey('agent_run_id', 'first_seq', 'run_created_at', blank=True, editable=False, primary_key=True, serialize=False)),
                ('project_id', models.BigIntegerField()),
                ('run_created_at', models.DateTimeField()),
                ('agent_run_id', models.BigIntegerField()),
                ('first_seq', models.BigIntegerField()),
                ('last_seq', models.BigIntegerField()),
                ('words', django.contrib.postgres.search.SearchVectorField()),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'agent_run_log_chunks',
                'indexes': [django.contrib.postgres.indexes.GinIndex(fields=['account', 'words'], name='agent_run_log_chunks_words')],
            },
            by="run_created_at", unit="day", ahead=7, keep_days=90,
        ),
        sql.SecureTenantTable("agent_run_log_backlog", "agent_run_log_chunks"),
        sql.SqlFile("agent_runs", "log_search"),
    ]
