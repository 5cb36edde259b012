from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("projects", "0014_merged_are_summed")]

    operations: ClassVar = [SqlFile("projects", "project_labels")]
