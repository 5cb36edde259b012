from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """What the last proof of the ledger's sums came to."""

    dependencies = [
        ("metrics", "0024_ledger_months"),
    ]

    operations = [SqlFile("metrics", "ledger_proof")]
