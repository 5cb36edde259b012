"""The index of issues by a part of their title, for runs that are looked for by it."""

from typing import ClassVar

from django.contrib.postgres.indexes import GinIndex, OpClass
from django.contrib.postgres.operations import AddIndexConcurrently
from django.db import migrations
from django.db.models import F


class Migration(migrations.Migration):
    atomic = False
    dependencies: ClassVar = [("projects", "0012_issues_in_order")]

    operations: ClassVar = [
        AddIndexConcurrently(
            "issue",
            GinIndex(F("account"), OpClass("title", name="gin_trgm_ops"), name="issues_title", fastupdate=False),
        ),
    ]
