"""Nobody kept these totals: lists sum the runs, and the ledger is the truth about cost."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("projects", "0003_requested")]

    operations = [
        migrations.RemoveField(model_name="project", name="runs_count"),
        migrations.RemoveField(model_name="project", name="cost_usd"),
    ]
