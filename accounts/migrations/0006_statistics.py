from django.db import migrations

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [("accounts", "0005_found")]

    operations = [sql.SqlFile("paid.lib", "statistics")]
