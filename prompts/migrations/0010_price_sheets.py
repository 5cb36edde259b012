from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """All prices of a model in one row, as a call looks them up."""

    dependencies: ClassVar = [("prompts", "0009_in_order")]

    operations: ClassVar = [SqlFile("prompts", "price_sheets")]
