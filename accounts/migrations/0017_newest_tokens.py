from typing import ClassVar

from django.db import migrations

from paid.lib.sql import ReplaceSqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("accounts", "0016_scopes_of_past_tokens")]

    operations: ClassVar = [ReplaceSqlFile("accounts", "found", "former/found")]
