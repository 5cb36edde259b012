from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """A statement that says when it changed a run is taken at its word."""

    dependencies = [
        ("agent_runs", "0012_mentions"),
    ]

    operations = [
        SqlFile("agent_runs", "former/touched_0013"),
    ]
