"""An index for versions by variable; the two over templates make room for the documents of the search."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import AddIndexConcurrently, RemoveIndexConcurrently
from django.db import migrations
from django.db.models import F


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("prompts", "0003_price_source"), ("projects", "0006_found")]

    operations: ClassVar = [
        AddIndexConcurrently(
            "promptversion",
            GinIndex(
                F("account"),
                OpClass("variables", name="jsonb_path_ops"),
                name="prompt_versions_variables",
                fastupdate=False,
            ),
        ),
        RemoveIndexConcurrently("promptversion", "prompt_versions_search"),
        RemoveIndexConcurrently("promptversion", "prompt_versions_trgm"),
    ]
