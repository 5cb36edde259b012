from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("prompts", "0014_newest_using")]

    operations: ClassVar = [SqlFile("prompts", "version_variables")]
