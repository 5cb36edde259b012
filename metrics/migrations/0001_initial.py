import django.db.models.deletion
import django.db.models.functions.datetime
import paid.lib.constraints
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('agent_runs', '0001_initial'),
        ('projects', '0001_initial'),
    ]

    operations = [
        migrations.CreateModel(
            name='BudgetReservation',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('project_id', models.BigIntegerField()),
                ('amount_usd', models.DecimalField(decimal_places=12, max_digits=20)),
                ('drawn_usd', models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20)),
                ('expires_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('agent_run', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='budget_reservation', to='agent_runs.agentrun')),
            ],
            options={
                'db_table': 'budget_reservations',
                'indexes': [models.Index(condition=models.Q(('closed_at__isnull', True)), fields=['account', 'project_id'], include=('amount_usd', 'drawn_usd'), name='budget_reservations_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(('amount_usd__gte', 0), ('drawn_usd__gte', 0)), name='budget_reservations_not_negative'), models.CheckConstraint(condition=models.Q(('drawn_usd__lte', models.F('amount_usd'))), name='budget_reservations_not_overdrawn'), paid.lib.constraints.TenantForeignKey(column='agent_run_id', name='budget_reservations_run_fk', on_delete='CASCADE', to='agent_runs')],
            },
        ),
        migrations.CreateModel(
            name='CostBudget',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('period', models.CharField(choices=[('run', 'Per run'), ('day', 'Per day'), ('month', 'Per month')], max_length=10)),
                ('limit_usd', models.DecimalField(decimal_places=12, max_digits=20)),
                ('alert_threshold', models.DecimalField(db_default=0.8, decimal_places=3, default=0.8, max_digits=4)),
                ('is_hard', models.BooleanField(db_default=True, default=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='cost_budgets', to='accounts.account')),
                ('project', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='cost_budgets', to='projects.project')),
            ],
            options={
                'db_table': 'cost_budgets',
                'constraints': [models.UniqueConstraint(fields=('account', 'id'), name='cost_budgets_tenant_key'), models.UniqueConstraint(fields=('account', 'project', 'period'), name='cost_budgets_period_unique', nulls_distinct=False), models.CheckConstraint(condition=models.Q(('period__in', ['run', 'day', 'month'])), name='cost_budgets_period_known'), models.CheckConstraint(condition=models.Q(('limit_usd__gte', 0)), name='cost_budgets_limit_not_negative'), models.CheckConstraint(condition=models.Q(('alert_threshold__gt', 0), ('alert_threshold__lte', 1)), name='cost_budgets_threshold_is_a_share'), paid.lib.constraints.TenantForeignKey(column='project_id', name='cost_budgets_project_fk', on_delete='CASCADE', to='projects')],
            },
        ),
        migrations.CreateModel(
            name='GatewayCall',
            fields=[
                ('request_id', models.UUIDField(primary_key=True, serialize=False)),
                ('agent_run_id', models.BigIntegerField()),
                ('run_created_at', models.DateTimeField()),
                ('language_model_id', models.BigIntegerField(null=True)),
                ('model_name', models.CharField(max_length=200)),
                ('state', models.CharField(choices=[('open', 'Open'), ('settled', 'Settled'), ('released', 'Released')], db_default='open', default='open', max_length=20)),
                ('hold_usd', models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20)),
                ('input_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('output_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cache_read_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cache_write_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('gateway_id', models.CharField(max_length=100)),
                ('opened_at', models.DateTimeField()),
                ('closed_at', models.DateTimeField(null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'gateway_calls',
                'indexes': [models.Index(condition=models.Q(('state', 'open')), fields=['agent_run_id'], name='gateway_calls_open')],
                'constraints': [models.CheckConstraint(condition=models.Q(('state__in', ['open', 'settled', 'released'])), name='gateway_calls_state_known'), models.CheckConstraint(condition=models.Q(('hold_usd__gte', 0)), name='gateway_calls_hold_not_negative')],
            },
        ),
        migrations.CreateModel(
            name='QualityMetric',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('project_id', models.BigIntegerField()),
                ('prompt_version_id', models.BigIntegerField()),
                ('ab_variant_id', models.BigIntegerField(blank=True, null=True)),
                ('language_model_id', models.BigIntegerField()),
                ('iterations', models.PositiveIntegerField(db_default=0, default=0)),
                ('has_passing_ci', models.BooleanField(blank=True, null=True)),
                ('has_passing_tests', models.BooleanField(blank=True, null=True)),
                ('has_clean_lint', models.BooleanField(blank=True, null=True)),
                ('is_merged', models.BooleanField(blank=True, null=True)),
                ('lines_added', models.PositiveIntegerField(db_default=0, default=0)),
                ('lines_removed', models.PositiveIntegerField(db_default=0, default=0)),
                ('complexity', models.FloatField(blank=True, null=True)),
                ('votes_up', models.PositiveIntegerField(db_default=0, default=0)),
                ('votes_down', models.PositiveIntegerField(db_default=0, default=0)),
                ('quality_score', models.DecimalField(blank=True, decimal_places=5, max_digits=6, null=True)),
                ('account', models.ForeignKey(db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('agent_run', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='quality_metric', to='agent_runs.agentrun')),
            ],
            options={
                'db_table': 'quality_metrics',
                'indexes': [models.Index(fields=['account', 'ab_variant_id', 'created_at'], include=('quality_score',), name='quality_metrics_rolling')],
                'constraints': [models.CheckConstraint(condition=models.Q(('quality_score__isnull', True), models.Q(('quality_score__gte', 0), ('quality_score__lte', 1)), _connector='OR'), name='quality_metrics_score_range'), paid.lib.constraints.TenantForeignKey(column='agent_run_id', name='quality_metrics_run_fk', on_delete='CASCADE', to='agent_runs')],
            },
        ),
        sql.CreatePartitionedModel(
            name='TokenUsage',
            fields=[
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('pk', models.CompositePrimaryKey('run_created_at', 'request_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('project_id', models.BigIntegerField()),
                ('run_created_at', models.DateTimeField()),
                ('agent_run_id', models.BigIntegerField()),
                ('request_id', models.UUIDField()),
                ('kind', models.CharField(choices=[('call', 'Call'), ('correction', 'Correction')], db_default='call', default='call', max_length=20)),
                ('corrects_request_id', models.UUIDField(null=True)),
                ('language_model_id', models.BigIntegerField(null=True)),
                ('model_name', models.CharField(max_length=200)),
                ('provider_request_id', models.CharField(db_default='', default='', max_length=200)),
                ('input_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('output_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cache_read_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cache_write_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cost_usd', models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20)),
                ('is_priced', models.BooleanField()),
                ('is_estimated', models.BooleanField(db_default=False, default=False)),
                ('payload_hash', models.BinaryField(max_length=32)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'token_usages',
                'indexes': [models.Index(fields=['agent_run_id', 'created_at'], name='token_usages_of_run')],
                'constraints': [models.CheckConstraint(condition=models.Q(('kind__in', ['call', 'correction'])), name='token_usages_kind_known'), models.CheckConstraint(condition=models.Q(models.Q(('corrects_request_id__isnull', False), ('kind', 'correction')), models.Q(('cache_read_tokens__gte', 0), ('cache_write_tokens__gte', 0), ('corrects_request_id__isnull', True), ('cost_usd__gte', 0), ('input_tokens__gte', 0), ('kind', 'call'), ('output_tokens__gte', 0)), _connector='OR'), name='token_usages_calls_are_not_negative'), models.CheckConstraint(condition=models.Q(('is_priced', True), ('cost_usd', 0), _connector='OR'), name='token_usages_unpriced_is_zero')],
            },
            by="run_created_at", unit="month", ahead=3, keep_days=366,
        ),
        migrations.CreateModel(
            name='UsageDaily',
            fields=[
                ('pk', models.CompositePrimaryKey('account_id', 'project_id', 'day', 'language_model_id', 'slot', blank=True, editable=False, primary_key=True, serialize=False)),
                ('project_id', models.BigIntegerField()),
                ('language_model_id', models.BigIntegerField()),
                ('day', models.DateField()),
                ('slot', models.SmallIntegerField()),
                ('calls', models.BigIntegerField(db_default=0, default=0)),
                ('unpriced_calls', models.BigIntegerField(db_default=0, default=0)),
                ('input_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('output_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cache_read_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cache_write_tokens', models.BigIntegerField(db_default=0, default=0)),
                ('cost_usd', models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'usage_daily',
                'indexes': [models.Index(fields=['account', 'day'], name='usage_daily_of_account')],
                'constraints': [models.CheckConstraint(condition=models.Q(('slot__gte', 0), ('slot__lt', 16)), name='usage_daily_slot_range')],
            },
        ),
        sql.KeepUpdatedAt("cost_budgets", "quality_metrics"),
        sql.SecureTenantTable(
            "token_usages", "usage_daily", "cost_budgets", "budget_reservations", "gateway_calls", "quality_metrics",
        ),
        sql.AppendOnly("token_usages"),
        sql.SqlFile("metrics", "rules"),
    ]
