from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("accounts", "0014_usage_scope_valid")]

    operations: ClassVar = [SqlFile("accounts", "github_token_scopes")]
