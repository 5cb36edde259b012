from django.db import migrations, models

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """Model calls that a program reports."""

    dependencies = [
        ("agent_runs", "0001_initial"),
        ("metrics", "0019_calls_under_way"),
    ]

    operations = [
        migrations.AddField(
            model_name="tokenusage",
            name="is_reported",
            field=models.BooleanField(db_default=False, default=False),
        ),
        SqlFile("metrics", "former/reported_usage_0021"),
    ]
