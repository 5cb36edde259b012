from django.db import migrations

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [("accounts", "0007_partition_conversion")]

    operations = [sql.SqlFile("paid.lib", "erasure")]
