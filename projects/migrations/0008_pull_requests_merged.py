from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_erasure'),
        ('projects', '0007_pull_requests_changed'),
    ]

    operations = [
        migrations.AddIndex(
            model_name='pullrequest',
            index=models.Index(condition=models.Q(('state', 'merged')), fields=['account', 'merged_at'], name='pull_requests_merged'),
        ),
    ]
