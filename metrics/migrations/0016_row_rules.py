import paid.lib.constraints
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    """A ledger row's rules are held by the trigger that adds it to its sums, not by CHECKs that each call parses."""

    dependencies = [
        ('accounts', '0012_row_rules'),
        ('agent_runs', '0010_row_rules'),
        ('metrics', '0015_ended_runs'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='budgetreservation',
            name='budget_reservations_not_overdrawn',
        ),
        migrations.RemoveConstraint(
            model_name='budgetreservation',
            name='budget_reservations_not_negative',
        ),
        migrations.RemoveConstraint(
            model_name='spenddaily',
            name='spend_daily_dimension_known',
        ),
        migrations.RemoveConstraint(
            model_name='spenddaily',
            name='spend_daily_slot_range',
        ),
        migrations.RemoveConstraint(
            model_name='tokenusage',
            name='token_usages_unpriced_is_zero',
        ),
        migrations.RemoveConstraint(
            model_name='tokenusage',
            name='token_usages_kind_known',
        ),
        migrations.RemoveConstraint(
            model_name='tokenusage',
            name='token_usages_calls_are_not_negative',
        ),
        migrations.RemoveConstraint(
            model_name='usagedaily',
            name='usage_daily_slot_range',
        ),
        AddConstraintNotValid(
            model_name='budgetreservation',
            constraint=models.CheckConstraint(condition=models.Q(('drawn_usd__gte', 0), ('drawn_usd__lte', models.F('amount_usd'))), name='budget_reservations_not_overdrawn'),
        ),
        migrations.AddConstraint(
            model_name='budgetreservation',
            constraint=paid.lib.constraints.RowRule(condition=models.Q(('granted_usd__gte', 0)), name='budget_reservations_not_negative'),
        ),
        ReplaceSqlFile('metrics', 'former/ledger_sums_0016', 'former/ledger_sums_0013'),
    ]
