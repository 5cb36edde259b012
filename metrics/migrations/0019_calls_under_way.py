from django.db import migrations, models

from paid.lib.sql import ReplaceSqlFile, SqlFile


class Migration(migrations.Migration):
    """A call's row goes with its end; the ledger's row says when it was called."""

    dependencies = [
        ('metrics', '0018_closed_calls'),
    ]

    operations = [
        # The first table that a settlement locks, before the ledger, its last: taken the other way round, both would
        # wait for each other.
        migrations.RunSQL('LOCK TABLE gateway_calls IN ACCESS EXCLUSIVE MODE', migrations.RunSQL.noop),
        migrations.AddField(
            model_name='tokenusage',
            name='called_at',
            field=models.DateTimeField(null=True),
        ),
        ReplaceSqlFile('metrics', 'former/escrow_0021', 'former/escrow_0003'),
        ReplaceSqlFile('metrics', 'former/gateway_calls_0019', 'former/gateway_calls_0011'),
        ReplaceSqlFile('metrics', 'former/corrections_0021', 'former/corrections_0003'),
        migrations.SeparateDatabaseAndState(
            database_operations=[
                SqlFile('metrics', 'calls_under_way'),
            ],
            state_operations=[
                migrations.RemoveConstraint(
                    model_name='gatewaycall',
                    name='gateway_calls_state_known',
                ),
                migrations.RemoveField(
                    model_name='gatewaycall',
                    name='closed_at',
                ),
                migrations.RemoveField(
                    model_name='gatewaycall',
                    name='state',
                ),
            ],
        ),
    ]
