from django.contrib.postgres.operations import RemoveIndexConcurrently
from django.db import migrations


class Migration(migrations.Migration):
    """Merged pull requests are counted by the sums of quality."""

    atomic = False

    dependencies = [
        ("projects", "0013_issues_by_title"),
    ]

    operations = [
        RemoveIndexConcurrently("pullrequest", "pull_requests_merged"),
    ]
