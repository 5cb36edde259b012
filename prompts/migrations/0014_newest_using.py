from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """The newest versions that use a variable, without the ids of all that do."""

    dependencies: ClassVar = [("prompts", "0013_finding")]

    operations: ClassVar = [SqlFile("prompts", "former/newest_using_walked")]
