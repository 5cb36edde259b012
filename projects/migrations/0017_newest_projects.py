from typing import ClassVar

from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("projects", "0016_labels_of_past_projects")]

    operations: ClassVar = [ReplaceSqlFile("projects", "found", "former/found_0011")]
