from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """The functions by which money moves, and the trigger that keeps the daily sums."""

    dependencies = [
        ("metrics", "0001_initial"),
        ("accounts", "0001_initial"),
        ("agent_runs", "0001_initial"),
        ("prompts", "0001_initial"),
    ]

    operations = [
        SqlFile("metrics", "former/prices"),
        SqlFile("metrics", "former/usage_daily"),
        SqlFile("metrics", "former/escrow"),
        SqlFile("metrics", "former/gateway_calls"),
        SqlFile("metrics", "former/corrections"),
        SqlFile("metrics", "former/reconcile"),
    ]
