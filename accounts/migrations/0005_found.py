from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("accounts", "0004_found_indexes")]

    operations: ClassVar = [SqlFile("accounts", "former/found")]
