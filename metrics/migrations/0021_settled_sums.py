from django.db import migrations

from paid.lib.sql import ReplaceSqlFile, SqlFile


class Migration(migrations.Migration):
    """A call's settlement adds to the days' sums itself; the ledger's trigger does so for all other rows."""

    dependencies = [
        ("agent_runs", "0013_touched"),
        ("metrics", "0020_reported_usage"),
    ]

    operations = [
        SqlFile("metrics", "settled_sums"),
        ReplaceSqlFile("metrics", "former/gateway_calls_0021", "former/gateway_calls_0019"),
        ReplaceSqlFile("metrics", "ledger_sums", "former/ledger_sums_0016"),
    ]
