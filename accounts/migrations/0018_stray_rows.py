from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("accounts", "0017_newest_tokens")]

    operations: ClassVar = [SqlFile("paid.lib", "stray_rows")]
