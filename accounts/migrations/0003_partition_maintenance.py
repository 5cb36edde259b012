from django.db import migrations

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [("accounts", "0002_django_tables")]

    operations = [sql.SqlFile("paid.lib", "partition_maintenance")]
