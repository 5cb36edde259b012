from django.db import migrations, models

from paid.lib.sql import ReplaceSqlFile, SqlFile


class Migration(migrations.Migration):
    """A settlement leaves its sums on the run's escrow; posting brings them into the run's row, many at a time."""

    dependencies = [
        ("agent_runs", "0013_touched"),
        ("metrics", "0021_settled_sums"),
    ]

    operations = [
        migrations.AddField(
            model_name="budgetreservation",
            name="is_late",
            field=models.BooleanField(db_default=False, default=False),
        ),
        migrations.AddField(
            model_name="budgetreservation",
            name="unposted_calls",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="budgetreservation",
            name="unposted_unpriced_calls",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="budgetreservation",
            name="unposted_input_tokens",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="budgetreservation",
            name="unposted_output_tokens",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="budgetreservation",
            name="unposted_cache_read_tokens",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="budgetreservation",
            name="unposted_cache_write_tokens",
            field=models.BigIntegerField(db_default=0, default=0),
        ),
        migrations.AddField(
            model_name="budgetreservation",
            name="unposted_usd",
            field=models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20),
        ),
        SqlFile("metrics", "posting"),
        ReplaceSqlFile("metrics", "escrow", "former/escrow_0021"),
        ReplaceSqlFile("metrics", "corrections", "former/corrections_0021"),
        ReplaceSqlFile("metrics", "reported_usage", "former/reported_usage_0021"),
        ReplaceSqlFile("metrics", "former/reconcile_0023", "former/reconcile_0021"),
        # The last: from here on sums are left unposted.
        ReplaceSqlFile("metrics", "former/gateway_calls_0022", "former/gateway_calls_0021"),
    ]
