import django.db.models.deletion
import django.db.models.functions.datetime
import paid.lib.constraints
from django.conf import settings
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('projects', '0001_initial'),
        ('prompts', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='AgentRun',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('version_account_id', models.BigIntegerField()),
                ('model_account_id', models.BigIntegerField()),
                ('trigger', models.CharField(choices=[('person', 'A person'), ('label', 'A label'), ('api', 'The API'), ('demo', 'The demo')], max_length=20)),
                ('agent', models.CharField(max_length=50)),
                ('status', models.CharField(choices=[('queued', 'Queued'), ('preparing', 'Preparing'), ('running', 'Running'), ('paused', 'Paused'), ('publishing', 'Publishing'), ('completed', 'Completed'), ('failed', 'Failed'), ('stopped', 'Stopped')], db_default='queued', default='queued', max_length=20)),
                ('prompt_text', models.TextField(db_default='', default='')),
                ('system_prompt_text', models.TextField(blank=True, db_default='', default='')),
                ('limits', models.JSONField(db_default={}, default=dict)),
                ('fingerprint', models.CharField(db_default='', default='', max_length=64)),
                ('workflow_id', models.CharField(db_default='', default='', max_length=200)),
                ('run_token_hash', models.BinaryField(blank=True, max_length=32, null=True)),
                ('branch', models.CharField(blank=True, db_default='', default='', max_length=250)),
                ('base_sha', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('head_sha', models.CharField(blank=True, db_default='', default='', max_length=64)),
                ('error_code', models.CharField(blank=True, db_default='', default='', max_length=50)),
                ('error', models.TextField(blank=True, db_default='', default='')),
                ('summary', models.TextField(blank=True, db_default='', default='')),
                ('iterations', models.PositiveIntegerField(db_default=0, default=0)),
                ('stop_requested_at', models.DateTimeField(blank=True, null=True)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('input_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('output_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cache_read_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cache_write_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cost_usd', models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20)),
                ('unpriced_calls', models.PositiveIntegerField(db_default=0, default=0)),
                ('ab_variant', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='agent_runs', to='prompts.abvariant')),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='agent_runs', to='accounts.account')),
                ('issue', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='agent_runs', to='projects.issue')),
                ('language_model', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='agent_runs', to='prompts.languagemodel')),
                ('project', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='agent_runs', to='projects.project')),
                ('prompt_version', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='agent_runs', to='prompts.promptversion')),
                ('pull_request', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='agent_runs', to='projects.pullrequest')),
                ('requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('retry_of', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='retries', to='agent_runs.agentrun')),
                ('stop_requested_by', models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'agent_runs',
            },
        ),
        sql.CreatePartitionedModel(
            name='AgentRunLog',
            fields=[
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('pk', models.CompositePrimaryKey('run_created_at', 'agent_run_id', 'seq', blank=True, editable=False, primary_key=True, serialize=False)),
                ('run_created_at', models.DateTimeField()),
                ('agent_run_id', models.BigIntegerField()),
                ('seq', models.BigIntegerField()),
                ('kind', models.CharField(choices=[('stdout', 'Output'), ('stderr', 'Errors'), ('system', 'Paid'), ('metric', 'Metric'), ('event', 'Event')], max_length=20)),
                ('content', models.TextField()),
                ('metadata', models.JSONField(db_default={}, default=dict)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'agent_run_logs',
            },
            by="run_created_at", unit="day", ahead=7, keep_days=90,
        ),
        migrations.CreateModel(
            name='ModelSelection',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('model_account_id', models.BigIntegerField()),
                ('selected_by', models.CharField(choices=[('override', 'Override'), ('rules', 'Rules'), ('meta_agent', 'Meta-agent')], max_length=20)),
                ('candidates', models.JSONField(db_default=[], default=list)),
                ('reason', models.TextField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('agent_run', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='model_selection', to='agent_runs.agentrun')),
                ('language_model', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='prompts.languagemodel')),
            ],
            options={
                'db_table': 'model_selections',
            },
        ),
        migrations.CreateModel(
            name='RunDiff',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('patch', models.TextField()),
                ('files_changed', models.PositiveIntegerField()),
                ('lines_added', models.PositiveIntegerField()),
                ('lines_removed', models.PositiveIntegerField()),
                ('is_truncated', models.BooleanField(db_default=False, default=False)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('agent_run', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='diff', to='agent_runs.agentrun')),
            ],
            options={
                'db_table': 'agent_run_diffs',
            },
        ),
        migrations.CreateModel(
            name='RunStep',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(choices=[('queue', 'Queued'), ('workspace', 'Workspace'), ('agent', 'Agent'), ('publish', 'Publish'), ('finish', 'Finish')], max_length=20)),
                ('status', models.CharField(choices=[('running', 'Running'), ('done', 'Done'), ('failed', 'Failed'), ('skipped', 'Skipped')], max_length=20)),
                ('attempt', models.PositiveSmallIntegerField(db_default=1, default=1)),
                ('detail', models.TextField(blank=True, db_default='', default='')),
                ('started_at', models.DateTimeField()),
                ('finished_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('agent_run', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='steps', to='agent_runs.agentrun')),
            ],
            options={
                'db_table': 'agent_run_steps',
            },
        ),
        migrations.AddIndex(
            model_name='agentrun',
            index=models.Index(condition=models.Q(('status__in', ('queued', 'preparing', 'running', 'paused', 'publishing'))), fields=['account', 'status'], name='agent_runs_live'),
        ),
        migrations.AddIndex(
            model_name='agentrun',
            index=models.Index(fields=['account', '-created_at', '-id'], include=('status', 'project', 'language_model', 'cost_usd'), name='agent_runs_newest'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=models.UniqueConstraint(fields=('account', 'id'), name='agent_runs_tenant_key'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=models.UniqueConstraint(condition=models.Q(('status__in', ('queued', 'preparing', 'running', 'paused', 'publishing'))), fields=('issue',), name='agent_runs_one_live_per_issue'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=models.UniqueConstraint(condition=models.Q(('run_token_hash__isnull', False)), fields=('run_token_hash',), name='agent_runs_token_unique'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['queued', 'preparing', 'running', 'paused', 'publishing', 'completed', 'failed', 'stopped'])), name='agent_runs_status_known'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=models.CheckConstraint(condition=models.Q(('trigger__in', ['person', 'label', 'api', 'demo'])), name='agent_runs_trigger_known'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('finished_at__isnull', False), ('run_token_hash__isnull', True)), models.Q(('finished_at__isnull', True), ('status__in', ('queued', 'preparing', 'running', 'paused', 'publishing'))), _connector='OR'), name='agent_runs_ended_has_time_and_no_token'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=models.CheckConstraint(condition=models.Q(('version_account_id', 0), ('version_account_id', models.F('account_id')), _connector='OR'), name='agent_runs_version_account'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=models.CheckConstraint(condition=models.Q(('model_account_id', 0), ('model_account_id', models.F('account_id')), _connector='OR'), name='agent_runs_model_account'),
        ),
        migrations.AddConstraint(
            model_name='agentrunlog',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['stdout', 'stderr', 'system', 'metric', 'event'])), name='agent_run_logs_kind_known'),
        ),
        migrations.AddConstraint(
            model_name='modelselection',
            constraint=models.CheckConstraint(condition=models.Q(('selected_by__in', ['override', 'rules', 'meta_agent'])), name='model_selections_selected_by_known'),
        ),
        migrations.AddConstraint(
            model_name='modelselection',
            constraint=models.CheckConstraint(condition=models.Q(('model_account_id', 0), ('model_account_id', models.F('account_id')), _connector='OR'), name='model_selections_model_account'),
        ),
        migrations.AddConstraint(
            model_name='runstep',
            constraint=models.UniqueConstraint(fields=('agent_run', 'name'), name='agent_run_steps_name_unique'),
        ),
        migrations.AddConstraint(
            model_name='runstep',
            constraint=models.CheckConstraint(condition=models.Q(('name__in', ['queue', 'workspace', 'agent', 'publish', 'finish'])), name='agent_run_steps_name_known'),
        ),
        migrations.AddConstraint(
            model_name='runstep',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['running', 'done', 'failed', 'skipped'])), name='agent_run_steps_status_known'),
        ),
        # After every key that they reference, so that backwards they go first.
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.TenantForeignKey(column='project_id', name='agent_runs_project_fk', on_delete='CASCADE', to='projects'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.TenantForeignKey(column='issue_id', name='agent_runs_issue_fk', on_delete='CASCADE', to='issues'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.TenantForeignKey(account_column='version_account_id', column='prompt_version_id', name='agent_runs_version_fk', to='prompt_versions'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.TenantForeignKey(column='ab_variant_id', name='agent_runs_variant_fk', to='ab_variants'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.TenantForeignKey(account_column='model_account_id', column='language_model_id', name='agent_runs_model_fk', to='language_models'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.TenantForeignKey(column='pull_request_id', name='agent_runs_pull_request_fk', on_delete='SET NULL', to='pull_requests'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.TenantForeignKey(column='retry_of_id', name='agent_runs_retry_of_fk', on_delete='SET NULL', to='agent_runs'),
        ),
        migrations.AddConstraint(
            model_name='modelselection',
            constraint=paid.lib.constraints.TenantForeignKey(column='agent_run_id', name='model_selections_run_fk', on_delete='CASCADE', to='agent_runs'),
        ),
        migrations.AddConstraint(
            model_name='modelselection',
            constraint=paid.lib.constraints.TenantForeignKey(account_column='model_account_id', column='language_model_id', name='model_selections_model_fk', to='language_models'),
        ),
        migrations.AddConstraint(
            model_name='rundiff',
            constraint=paid.lib.constraints.TenantForeignKey(column='agent_run_id', name='agent_run_diffs_run_fk', on_delete='CASCADE', to='agent_runs'),
        ),
        migrations.AddConstraint(
            model_name='runstep',
            constraint=paid.lib.constraints.TenantForeignKey(column='agent_run_id', name='agent_run_steps_run_fk', on_delete='CASCADE', to='agent_runs'),
        ),
        sql.KeepUpdatedAt("agent_runs"),
        sql.SecureTenantTable("agent_runs", "agent_run_logs", "agent_run_steps", "agent_run_diffs", "model_selections"),
        sql.SqlFile("agent_runs", "rules"),
    ]
