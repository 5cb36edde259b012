import django.db.models.deletion
import paid.lib.constraints
from decimal import Decimal
from django.conf import settings
from django.db import migrations, models

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0003_partition_maintenance'),
        ('prompts', '0006_hour_cache_price'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.AddField(
            model_name='abtest',
            name='created_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='abtest',
            name='decided_by',
            field=models.ForeignKey(blank=True, null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL),
        ),
        migrations.AddField(
            model_name='abtest',
            name='decision_reason',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='abtest',
            name='holdout_share',
            field=models.DecimalField(db_default=0, decimal_places=4, default=0, max_digits=5),
        ),
        migrations.AddField(
            model_name='abtest',
            name='hypothesis',
            field=models.TextField(blank=True, db_default='', default=''),
        ),
        migrations.AddField(
            model_name='abtest',
            name='metric_cap',
            field=models.DecimalField(blank=True, decimal_places=12, max_digits=20, null=True),
        ),
        migrations.AddField(
            model_name='abtest',
            name='outcome',
            field=models.CharField(blank=True, choices=[('promoted', 'Variant promoted'), ('control_kept', 'Control kept')], db_default='', default='', max_length=20),
        ),
        migrations.AddField(
            model_name='abtest',
            name='rule',
            field=models.JSONField(blank=True, db_default={}, default=dict),
        ),
        migrations.AddField(
            model_name='abtest',
            name='winner',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='prompts.abvariant'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.CheckConstraint(condition=models.Q(('holdout_share__gte', 0), ('holdout_share__lte', Decimal('0.5'))), name='ab_tests_holdout_share_is_small'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('metric__in', ('cost', 'iterations')), _negated=True), models.Q(('metric_cap__gt', 0), ('metric_cap__isnull', False)), _connector='OR'), name='ab_tests_unbounded_metric_has_cap'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('outcome', ''), ('winner__isnull', True)), ('status', 'completed'), _connector='OR'), name='ab_tests_outcome_at_the_end'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.CheckConstraint(condition=models.Q(('outcome__in', ['', 'promoted', 'control_kept'])), name='ab_tests_outcome_known'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=paid.lib.constraints.TenantForeignKey(column='winner_id', name='ab_tests_winner_fk', on_delete='SET NULL', to='ab_variants'),
        ),
        SqlFile('prompts', 'experiments'),
    ]
