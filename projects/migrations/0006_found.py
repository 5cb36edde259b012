from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("projects", "0005_found_indexes")]

    operations: ClassVar = [SqlFile("projects", "former/found")]
