from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("prompts", "0010_price_sheets")]

    operations: ClassVar = [SqlFile("prompts", "former/search_of_many_words")]
