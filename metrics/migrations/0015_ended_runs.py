from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    """The sums of ended runs ask one thing of an update before they look closer."""

    dependencies = [
        ("metrics", "0014_price_sheets"),
    ]

    operations = [
        ReplaceSqlFile("metrics", "runs_daily", "former/runs_daily"),
    ]
