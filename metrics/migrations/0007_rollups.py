import django.db.models.deletion
from django.db import migrations, models

from paid.lib.sql import SecureTenantTable, SqlFile


class Migration(migrations.Migration):
    """Sums beside the rows, and the triggers that keep them. What was there before is added by the next migration."""

    dependencies = [
        ('accounts', '0002_django_tables'),
        ('agent_runs', '0005_indexes'),
        ('metrics', '0006_quality'),
    ]

    operations = [
        migrations.CreateModel(
            name='QualityDaily',
            fields=[
                ('dimension', models.CharField(choices=[('all', 'All'), ('project', 'Project'), ('prompt_version', 'Prompt version'), ('language_model', 'Model'), ('person', 'Person')], max_length=20)),
                ('dimension_id', models.BigIntegerField()),
                ('day', models.DateField()),
                ('pk', models.CompositePrimaryKey('account_id', 'dimension', 'day', 'dimension_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('runs', models.BigIntegerField(db_default=0, default=0)),
                ('scored', models.BigIntegerField(db_default=0, default=0)),
                ('score_sum', models.DecimalField(db_default=0, decimal_places=5, default=0, max_digits=20)),
                ('merged', models.BigIntegerField(db_default=0, default=0)),
                ('unmerged', models.BigIntegerField(db_default=0, default=0)),
                ('tests_passed', models.BigIntegerField(db_default=0, default=0)),
                ('tests_failed', models.BigIntegerField(db_default=0, default=0)),
                ('ci_passed', models.BigIntegerField(db_default=0, default=0)),
                ('ci_failed', models.BigIntegerField(db_default=0, default=0)),
                ('votes_up', models.BigIntegerField(db_default=0, default=0)),
                ('votes_down', models.BigIntegerField(db_default=0, default=0)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'quality_daily',
                'constraints': [models.CheckConstraint(condition=models.Q(('dimension__in', ['all', 'project', 'prompt_version', 'language_model', 'person'])), name='quality_daily_dimension_known')],
            },
        ),
        migrations.CreateModel(
            name='RunHistogram',
            fields=[
                ('pk', models.CompositePrimaryKey('account_id', 'measure', 'day', 'bucket', blank=True, editable=False, primary_key=True, serialize=False)),
                ('measure', models.CharField(choices=[('seconds', 'Duration'), ('usd', 'Cost')], max_length=10)),
                ('day', models.DateField()),
                ('bucket', models.IntegerField()),
                ('runs', models.BigIntegerField(db_default=0, default=0)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'run_histograms',
                'constraints': [models.CheckConstraint(condition=models.Q(('measure__in', ['seconds', 'usd'])), name='run_histograms_measure_known')],
            },
        ),
        migrations.CreateModel(
            name='RunsDaily',
            fields=[
                ('dimension', models.CharField(choices=[('all', 'All'), ('project', 'Project'), ('prompt_version', 'Prompt version'), ('language_model', 'Model'), ('person', 'Person')], max_length=20)),
                ('dimension_id', models.BigIntegerField()),
                ('day', models.DateField()),
                ('pk', models.CompositePrimaryKey('account_id', 'dimension', 'day', 'dimension_id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('completed', models.BigIntegerField(db_default=0, default=0)),
                ('failed', models.BigIntegerField(db_default=0, default=0)),
                ('stopped', models.BigIntegerField(db_default=0, default=0)),
                ('timed', models.BigIntegerField(db_default=0, default=0)),
                ('milliseconds', models.BigIntegerField(db_default=0, default=0)),
                ('iterations', models.BigIntegerField(db_default=0, default=0)),
                ('cost_usd', models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'runs_daily',
                'constraints': [models.CheckConstraint(condition=models.Q(('dimension__in', ['all', 'project', 'prompt_version', 'language_model', 'person'])), name='runs_daily_dimension_known')],
            },
        ),
        migrations.CreateModel(
            name='SpendDaily',
            fields=[
                ('dimension', models.CharField(choices=[('all', 'All'), ('project', 'Project'), ('prompt_version', 'Prompt version'), ('language_model', 'Model'), ('person', 'Person')], max_length=20)),
                ('dimension_id', models.BigIntegerField()),
                ('day', models.DateField()),
                ('pk', models.CompositePrimaryKey('account_id', 'dimension', 'day', 'dimension_id', 'slot', blank=True, editable=False, primary_key=True, serialize=False)),
                ('slot', models.SmallIntegerField()),
                ('calls', models.BigIntegerField(db_default=0, default=0)),
                ('unpriced_calls', models.BigIntegerField(db_default=0, default=0)),
                ('cost_usd', models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'spend_daily',
                'constraints': [models.CheckConstraint(condition=models.Q(('dimension__in', ['all', 'project', 'prompt_version', 'language_model', 'person'])), name='spend_daily_dimension_known'), models.CheckConstraint(condition=models.Q(('slot__gte', 0), ('slot__lt', 16)), name='spend_daily_slot_range')],
            },
        ),
        SecureTenantTable("runs_daily", "run_histograms", "quality_daily", "spend_daily"),
        SqlFile("metrics", "former/runs_daily"),
        SqlFile("metrics", "quality_daily"),
        SqlFile("metrics", "former/spend_daily"),
        SqlFile("metrics", "former/rollups"),
    ]
