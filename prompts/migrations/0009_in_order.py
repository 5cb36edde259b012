"""The index of the list of prompts."""

from typing import ClassVar

from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations, models


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("prompts", "0008_labels")]

    operations: ClassVar = [
        AddIndexConcurrently("prompt", models.Index(fields=["account", "slug", "project"], name="prompts_in_order")),
    ]
