"""Resolution in one round trip, which providers have keys, and preferences of the host for everybody."""

from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("prompts", "0001_initial"), ("accounts", "0001_initial")]

    operations: ClassVar = [
        SqlFile("prompts", "resolve_prompt"),
        SqlFile("prompts", "usable_providers"),
        SqlFile("prompts", "host_preferences"),
    ]
