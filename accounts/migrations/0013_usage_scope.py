import django.contrib.postgres.fields
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0012_row_rules'),
    ]

    operations = [
        migrations.AlterField(
            model_name='apitoken',
            name='scopes',
            field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('prompts:read', 'Read and resolve prompts'), ('prompts:write', 'Move labels of prompts'), ('runs:read', 'Read runs and their logs'), ('runs:write', 'Start, stop and judge runs'), ('costs:read', 'Read what was spent'), ('usage:write', 'Report model calls that did not pass the gateway')], max_length=50), size=None),
        ),
        migrations.RemoveConstraint(
            model_name='apitoken',
            name='api_tokens_scopes_known',
        ),
        AddConstraintNotValid(
            model_name='apitoken',
            constraint=models.CheckConstraint(condition=models.Q(('scopes__contained_by', ['prompts:read', 'prompts:write', 'runs:read', 'runs:write', 'costs:read', 'usage:write']), ('scopes__len__gt', 0)), name='api_tokens_scopes_known'),
        ),
    ]
