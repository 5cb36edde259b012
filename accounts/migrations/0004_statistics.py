from django.db import migrations

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [("accounts", "0003_partition_maintenance")]

    operations = [sql.SqlFile("paid.lib", "statistics")]
