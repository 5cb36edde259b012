from typing import ClassVar

from django.db import migrations


class Migration(migrations.Migration):
    """An index that gives words by their beginning too, in every collation, in the place of one that does not."""

    atomic = False  # CREATE INDEX CONCURRENTLY

    dependencies: ClassVar = [("prompts", "0011_search_of_many_words")]

    operations: ClassVar = [
        # What a build that was broken off has left.
        migrations.RunSQL("DROP INDEX CONCURRENTLY IF EXISTS prompt_words_beginnings", migrations.RunSQL.noop),
        migrations.RunSQL(
            "CREATE INDEX CONCURRENTLY prompt_words_beginnings ON prompt_words (account_id, word text_pattern_ops)",
            "DROP INDEX CONCURRENTLY IF EXISTS prompt_words_beginnings",
        ),
        migrations.RunSQL(
            "DROP INDEX CONCURRENTLY IF EXISTS prompt_words_known",
            "CREATE INDEX CONCURRENTLY IF NOT EXISTS prompt_words_known ON prompt_words (account_id, word)",
        ),
    ]
