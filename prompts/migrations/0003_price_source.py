from typing import ClassVar

from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies: ClassVar = [("prompts", "0002_resolution")]

    operations: ClassVar = [
        migrations.AddField(
            model_name="modelprice",
            name="source",
            field=models.CharField(blank=True, db_default="", default="", max_length=50),
        ),
    ]
