import django.db.models.deletion
import django.db.models.functions.datetime
import paid.lib.constraints
import paid.lib.encryption
from decimal import Decimal
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

from paid.lib.sql import KeepUpdatedAt, ReplaceSqlFile, SecureTenantTable, SqlFile


class Migration(migrations.Migration):
    """Cache writes of an hour, what prices a call afterwards, money granted to a run, and alerts."""

    dependencies = [
        ('accounts', '0002_django_tables'),
        ('agent_runs', '0002_paused'),
        ('metrics', '0002_ledger'),
        ('prompts', '0006_hour_cache_price'),
    ]

    operations = [
        migrations.CreateModel(
            name='AlertWebhook',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('url', models.URLField(max_length=500)),
                ('secret', paid.lib.encryption.EncryptedField()),
            ],
            options={
                'db_table': 'alert_webhooks',
            },
        ),
        migrations.CreateModel(
            name='BudgetAlert',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('period_starts_on', models.DateField()),
                ('threshold', models.DecimalField(decimal_places=3, max_digits=4)),
                ('limit_usd', models.DecimalField(decimal_places=12, max_digits=20)),
                ('spent_usd', models.DecimalField(decimal_places=12, max_digits=20)),
                ('due_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('attempts', models.PositiveIntegerField(db_default=0, default=0)),
                ('mailed_at', models.DateTimeField(null=True)),
                ('posted_at', models.DateTimeField(null=True)),
                ('told_at', models.DateTimeField(null=True)),
                ('last_error', models.TextField(db_default='', default='')),
            ],
            options={
                'db_table': 'budget_alerts',
            },
        ),
        migrations.RemoveConstraint(
            model_name='budgetreservation',
            name='budget_reservations_not_negative',
        ),
        migrations.RemoveConstraint(
            model_name='tokenusage',
            name='token_usages_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='tokenusage',
            name='token_usages_calls_are_not_negative',
        ),
        migrations.AddField(
            model_name='budgetreservation',
            name='granted_usd',
            field=models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20),
        ),
        migrations.AddField(
            model_name='gatewaycall',
            name='cache_write_1h_tokens',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name='tokenusage',
            name='cache_write_1h_tokens',
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='costbudget',
            name='alert_threshold',
            field=models.DecimalField(db_default=Decimal('0.8'), decimal_places=3, default=Decimal('0.8'), max_digits=4),
        ),
        migrations.AlterField(
            model_name='tokenusage',
            name='kind',
            field=models.CharField(choices=[('call', 'Call'), ('correction', 'Correction'), ('pricing', 'Pricing')], db_default='call', default='call', max_length=20),
        ),
        migrations.AddIndex(
            model_name='tokenusage',
            index=models.Index(condition=models.Q(('is_priced', False)), fields=['request_id'], name='token_usages_unpriced'),
        ),
        migrations.AddConstraint(
            model_name='budgetreservation',
            constraint=models.CheckConstraint(condition=models.Q(('amount_usd__gte', 0), ('drawn_usd__gte', 0), ('granted_usd__gte', 0)), name='budget_reservations_not_negative'),
        ),
        AddConstraintNotValid(
            model_name='tokenusage',
            constraint=models.CheckConstraint(condition=models.Q(('kind__in', ['call', 'correction', 'pricing'])), name='token_usages_kind_known'),
        ),
        AddConstraintNotValid(
            model_name='tokenusage',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('corrects_request_id__isnull', False), ('kind__in', ['correction', 'pricing'])), models.Q(('cache_read_tokens__gte', 0), ('cache_write_1h_tokens__gte', 0), ('cache_write_tokens__gte', models.F('cache_write_1h_tokens')), ('corrects_request_id__isnull', True), ('cost_usd__gte', 0), ('input_tokens__gte', 0), ('kind', 'call'), ('output_tokens__gte', 0)), _connector='OR'), name='token_usages_calls_are_not_negative'),
        ),
        migrations.AddField(
            model_name='alertwebhook',
            name='account',
            field=models.OneToOneField(on_delete=django.db.models.deletion.CASCADE, related_name='alert_webhook', to='accounts.account'),
        ),
        migrations.AddField(
            model_name='budgetalert',
            name='account',
            field=models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account'),
        ),
        migrations.AddField(
            model_name='budgetalert',
            name='agent_run',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='agent_runs.agentrun'),
        ),
        migrations.AddField(
            model_name='budgetalert',
            name='cost_budget',
            field=models.ForeignKey(db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='alerts', to='metrics.costbudget'),
        ),
        migrations.AddIndex(
            model_name='budgetalert',
            index=models.Index(condition=models.Q(('told_at__isnull', True)), fields=['due_at', 'id'], name='budget_alerts_due'),
        ),
        migrations.AddIndex(
            model_name='budgetalert',
            index=models.Index(models.F('account'), models.OrderBy(models.F('created_at'), descending=True), name='budget_alerts_newest'),
        ),
        migrations.AddConstraint(
            model_name='budgetalert',
            constraint=models.UniqueConstraint(fields=('account', 'cost_budget', 'agent_run', 'period_starts_on', 'threshold'), name='budget_alerts_once', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='budgetalert',
            constraint=models.CheckConstraint(condition=models.Q(('cost_budget__isnull', False), ('agent_run__isnull', False), _connector='OR'), name='budget_alerts_of_something'),
        ),
        migrations.AddConstraint(
            model_name='budgetalert',
            constraint=paid.lib.constraints.TenantForeignKey(column='cost_budget_id', name='budget_alerts_budget_fk', on_delete='CASCADE', to='cost_budgets'),
        ),
        migrations.AddConstraint(
            model_name='budgetalert',
            constraint=paid.lib.constraints.TenantForeignKey(column='agent_run_id', name='budget_alerts_run_fk', on_delete='CASCADE', to='agent_runs'),
        ),
        KeepUpdatedAt("alert_webhooks"),
        SecureTenantTable("alert_webhooks", "budget_alerts"),
        ReplaceSqlFile("metrics", "former/prices_0003", "former/prices"),
        ReplaceSqlFile("metrics", "former/usage_daily_0003", "former/usage_daily"),
        ReplaceSqlFile("metrics", "former/escrow_0003", "former/escrow"),
        ReplaceSqlFile("metrics", "former/gateway_calls_0003", "former/gateway_calls"),
        ReplaceSqlFile("metrics", "former/corrections_0003", "former/corrections"),
        ReplaceSqlFile("metrics", "former/reconcile_0021", "former/reconcile"),
        SqlFile("metrics", "former/alerts_0003"),
    ]
