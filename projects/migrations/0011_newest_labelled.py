from typing import ClassVar

from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("projects", "0010_labels_of_the_past")]

    operations: ClassVar = [ReplaceSqlFile("projects", "former/found_0011", "former/found")]
