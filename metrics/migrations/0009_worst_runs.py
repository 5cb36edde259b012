from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """The worst runs by their index, also for a tenant."""

    dependencies = [("metrics", "0008_rollups_of_the_past")]

    operations = [SqlFile("metrics", "worst_runs")]
