from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    """A call's settlement adds to the days' sums itself; the ledger's trigger does so for all other rows."""

    dependencies = [
        ("agent_runs", "0013_touched"),
        ("metrics", "0020_reported_usage"),
    ]

    operations = [
        # The first table that a settlement locks, before the ledger, its last: taken the other way round, both would
        # wait for each other.
        migrations.RunSQL("LOCK TABLE gateway_calls IN ACCESS EXCLUSIVE MODE", migrations.RunSQL.noop),
        ReplaceSqlFile("metrics", "gateway_calls", "former/gateway_calls_0019"),
        ReplaceSqlFile("metrics", "ledger_sums", "former/ledger_sums_0016"),
    ]
