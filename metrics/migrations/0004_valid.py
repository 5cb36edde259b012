from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Apart from their making: reading every row takes no lock that writers meet."""

    dependencies = [
        ('metrics', '0003_hour_cache_and_alerts'),
    ]

    operations = [
        ValidateConstraint(model_name='tokenusage', name='token_usages_kind_known'),
        ValidateConstraint(model_name='tokenusage', name='token_usages_calls_are_not_negative'),
    ]
