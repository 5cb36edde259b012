import django.db.models.deletion
import django.db.models.functions.datetime
import paid.lib.constraints
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_partition_maintenance'),
        ('metrics', '0004_valid'),
        ('prompts', '0007_experiments'),
    ]

    operations = [
        migrations.CreateModel(
            name='ExperimentReading',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('computed_at', models.DateTimeField()),
                ('subjects_assigned', models.PositiveIntegerField()),
                ('subjects_settled', models.PositiveIntegerField()),
                ('content', models.JSONField()),
                ('proposal', models.CharField(choices=[('wait', 'Keep collecting'), ('promote', 'Promote a variant'), ('keep_control', 'Keep the control'), ('stop_harm', 'Stop: a guardrail is broken'), ('check_split', 'Stop: the split is not as set')], max_length=20)),
                ('reason', models.TextField()),
                ('ab_test', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='reading', to='prompts.abtest')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('proposed_variant', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='prompts.abvariant')),
            ],
            options={
                'db_table': 'ab_test_readings',
                'constraints': [models.CheckConstraint(condition=models.Q(('proposal__in', ['wait', 'promote', 'keep_control', 'stop_harm', 'check_split'])), name='ab_test_readings_proposal_known'), models.CheckConstraint(condition=models.Q(('subjects_settled__lte', models.F('subjects_assigned'))), name='ab_test_readings_settled_of_all'), models.CheckConstraint(condition=models.Q(models.Q(('proposal', 'promote'), _negated=True), ('proposed_variant__isnull', False), _connector='OR'), name='ab_test_readings_promotes_somebody'), paid.lib.constraints.TenantForeignKey(column='ab_test_id', name='ab_test_readings_ab_test_fk', on_delete='CASCADE', to='ab_tests'), paid.lib.constraints.TenantForeignKey(column='proposed_variant_id', name='ab_test_readings_variant_fk', on_delete='CASCADE', to='ab_variants')],
            },
        ),
        sql.KeepUpdatedAt("ab_test_readings"),
        sql.SecureTenantTable("ab_test_readings"),
        sql.SqlFile("metrics", "experiment_readings"),
    ]
