from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    """One trigger in place of three follows the ledger's rows."""

    dependencies = [
        ("agent_runs", "0001_initial"),
        ("metrics", "0012_settlement_indexes"),
    ]

    operations = [
        ReplaceSqlFile("metrics", "former/spend_daily_0023", "former/spend_daily_0011"),
        ReplaceSqlFile("metrics", "former/ledger_sums_0013", "former/usage_daily_0011"),
    ]
