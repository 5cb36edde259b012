from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    """A hard budget wants a price for each class of tokens; a limit that is lowered says nothing about last month."""

    dependencies = [
        ("metrics", "0025_ledger_proof"),
    ]

    operations = [
        ReplaceSqlFile("metrics", "prices", "former/prices_0014"),
        ReplaceSqlFile("metrics", "gateway_calls", "former/gateway_calls_0022"),
        ReplaceSqlFile("metrics", "alerts", "former/alerts_0003"),
    ]
