"""Fills the variables of versions that were there before the trigger."""

from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    # A transaction for each step.
    atomic = False
    dependencies: ClassVar = [("prompts", "0015_version_variables")]

    operations: ClassVar = [SqlFile("prompts", "variables_of_past_versions")]
