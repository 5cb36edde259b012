from typing import ClassVar

from django.db import migrations

from paid.lib.sql import ReplaceSqlFile, statement

FORMER = ("query_by_parts", "query_by_likeness", "prompt_headline", "find_prompts", "search_grants")
# A function can be given a setting of pg_trgm only where this session has used the extension.
USE_TRIGRAMS = "SELECT similarity('', '')"


class Migration(migrations.Migration):
    """The search looks beginnings of words up before parts, plans less, and asks for names only behind many texts."""

    dependencies: ClassVar = [("prompts", "0012_beginnings_of_words")]

    operations: ClassVar = [
        migrations.RunSQL(
            [
                USE_TRIGRAMS,
                "DROP FUNCTION find_prompts(text, integer, boolean), prompt_headline(bigint, tsquery),"
                " query_by_likeness(text, bigint), query_by_parts(text, bigint)",
            ],
            [USE_TRIGRAMS, *(statement("prompts", "search", name) for name in FORMER)],
        ),
        ReplaceSqlFile("prompts", "finding", "former/search_of_many_words"),
    ]
