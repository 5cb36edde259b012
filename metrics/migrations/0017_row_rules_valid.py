from django.contrib.postgres.operations import ValidateConstraint
from django.db import migrations


class Migration(migrations.Migration):
    """Apart from its making: reading every row takes no lock that writers meet."""

    dependencies = [
        ('metrics', '0016_row_rules'),
    ]

    operations = [
        ValidateConstraint(model_name='budgetreservation', name='budget_reservations_not_overdrawn'),
    ]
