from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("prompts", "0009_in_order")]

    operations: ClassVar = [SqlFile("prompts", "search_of_many_words")]
