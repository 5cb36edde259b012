from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('prompts', '0005_search'),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='modelprice',
            name='model_prices_token_class_known',
        ),
        migrations.AlterField(
            model_name='modelprice',
            name='token_class',
            field=models.CharField(choices=[('input', 'Input'), ('output', 'Output'), ('cache_read', 'Cache read'), ('cache_write', 'Cache write'), ('cache_write_1h', 'Cache write, one hour')], max_length=20),
        ),
        migrations.AddConstraint(
            model_name='modelprice',
            constraint=models.CheckConstraint(condition=models.Q(('token_class__in', ['input', 'output', 'cache_read', 'cache_write', 'cache_write_1h'])), name='model_prices_token_class_known'),
        ),
    ]
