from django.db import migrations

from paid.lib.sql import ReplaceSqlFile, SqlFile


class Migration(migrations.Migration):
    """A month of the ledger that is dropped leaves what it came to, so that the proof of the sums stays exact."""

    dependencies = [
        ("accounts", "0003_partition_maintenance"),
        ("metrics", "0023_late_calls"),
    ]

    operations = [
        SqlFile("paid.lib", "partition_notice"),
        SqlFile("metrics", "ledger_months"),
        ReplaceSqlFile("metrics", "spend_daily", "former/spend_daily_0023"),
        ReplaceSqlFile("metrics", "reconcile", "former/reconcile_0023"),
        ReplaceSqlFile("metrics", "rollups", "former/rollups"),
        SqlFile("metrics", "ledger_months_of_the_past"),
    ]
