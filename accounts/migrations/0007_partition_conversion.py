from django.db import migrations

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [("accounts", "0006_statistics")]

    operations = [sql.SqlFile("paid.lib", "partition_conversion")]
