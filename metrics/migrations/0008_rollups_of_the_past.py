import django.contrib.postgres.operations
import django.db.models.functions.datetime
from django.db import migrations, models

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """Fills the sums from the rows that were there before the triggers, a month of an account at a time."""

    # An index that is built beside the writers, and a transaction for each month.
    atomic = False

    dependencies = [
        ('metrics', '0007_rollups'),
    ]

    operations = [
        django.contrib.postgres.operations.AddIndexConcurrently(
            model_name='qualitymetric',
            index=models.Index(models.F('account'), django.db.models.functions.datetime.TruncDate('created_at'), models.F('quality_score'), name='quality_metrics_worst'),
        ),
        SqlFile("metrics", "rollups_of_the_past"),
    ]
