import django.db.models.deletion
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    """No index holds what a model call changes in an escrow, and one index less knows each call."""

    # Indexes that are built and dropped beside the writers.
    atomic = False

    dependencies = [
        ("accounts", "0008_erasure"),
        ("metrics", "0011_settlement"),
    ]

    operations = [
        AddIndexConcurrently(
            model_name="budgetreservation",
            index=models.Index(
                condition=models.Q(("closed_at__isnull", True)),
                fields=["account", "project_id"],
                name="budget_reservations_held",
            ),
        ),
        RemoveIndexConcurrently(model_name="budgetreservation", name="budget_reservations_open"),
        migrations.AlterField(
            model_name="gatewaycall",
            name="account",
            field=models.ForeignKey(
                db_index=False, on_delete=django.db.models.deletion.CASCADE, related_name="+", to="accounts.account"
            ),
        ),
        # Room on each page for the next version of a row, which may then stay beside the old one.
        migrations.RunSQL(
            "ALTER TABLE budget_reservations SET (fillfactor = 80)",
            "ALTER TABLE budget_reservations RESET (fillfactor)",
        ),
    ]
