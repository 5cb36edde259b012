from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile, statement


class Migration(migrations.Migration):
    dependencies: ClassVar = [("prompts", "0004_found_indexes")]

    operations: ClassVar = [
        SqlFile("prompts", "search"),
        migrations.RunSQL(
            ["DROP FUNCTION search_prompts(text, integer)"], [statement("prompts", "rules", "search_prompts")]
        ),
    ]
