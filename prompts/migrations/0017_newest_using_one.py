from typing import ClassVar

from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("prompts", "0016_variables_of_past_versions")]

    operations: ClassVar = [ReplaceSqlFile("prompts", "newest_using", "former/newest_using_walked")]
