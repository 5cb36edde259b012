"""The index of a project's list of issues, and of how many are open."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("projects", "0011_newest_labelled")]

    operations: ClassVar = [
        AddIndexConcurrently(
            "issue", models.Index(fields=["account", "project", "state", "number"], name="issues_in_order")
        ),
    ]
