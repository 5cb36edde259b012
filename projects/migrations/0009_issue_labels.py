from typing import ClassVar

from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    dependencies: ClassVar = [("projects", "0008_pull_requests_merged")]

    operations: ClassVar = [SqlFile("projects", "issue_labels")]
