from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    """A call finds its prices in one row."""

    dependencies = [
        ("prompts", "0010_price_sheets"),
        ("metrics", "0013_ledger_sums"),
    ]

    operations = [
        ReplaceSqlFile("metrics", "former/prices_0014", "former/prices_0011"),
    ]
