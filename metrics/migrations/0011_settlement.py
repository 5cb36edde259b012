from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    """A call is settled by five statements where there were nine, and slots go by run."""

    dependencies = [
        ("metrics", "0010_evolution"),
    ]

    operations = [
        ReplaceSqlFile("metrics", "former/prices_0011", "former/prices_0003"),
        ReplaceSqlFile("metrics", "former/usage_daily_0011", "former/usage_daily_0003"),
        ReplaceSqlFile("metrics", "former/spend_daily_0011", "former/spend_daily"),
        ReplaceSqlFile("metrics", "former/gateway_calls_0011", "former/gateway_calls_0003"),
    ]
