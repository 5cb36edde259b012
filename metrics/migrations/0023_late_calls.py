from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """The few escrows that have something unposted although they are closed."""

    atomic = False

    dependencies = [
        ("metrics", "0022_posting"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="budgetreservation",
            index=models.Index(
                condition=models.Q(("is_late", True)), fields=["agent_run"], name="budget_reservations_late"
            ),
        ),
    ]
