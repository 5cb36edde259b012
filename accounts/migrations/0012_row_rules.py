from django.db import migrations

from paid.lib.sql import SqlFile


class Migration(migrations.Migration):
    """What refuses a row that breaks a rule about columns which most updates leave alone."""

    dependencies = [
        ("accounts", "0011_api_scopes_valid"),
    ]

    operations = [
        SqlFile("paid.lib", "row_rules"),
    ]
