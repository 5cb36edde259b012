from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Apart from its making: reading every row takes no lock that writers meet."""

    dependencies = [
        ('accounts', '0013_usage_scope'),
    ]

    operations = [
        ValidateConstraint(model_name='apitoken', name='api_tokens_scopes_known'),
    ]
