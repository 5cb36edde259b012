"""Fills the scopes of tokens that were there before the triggers."""

from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    # A transaction for each step.
    atomic = False
    dependencies: ClassVar = [("accounts", "0015_github_token_scopes")]

    operations: ClassVar = [SqlFile("accounts", "scopes_of_past_tokens")]
