from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """Runs say when they changed as all tables do: a settlement changes none any more."""

    dependencies = [
        ("agent_runs", "0013_touched"),
    ]

    operations = [
        SqlFile("agent_runs", "touched_always"),
    ]
