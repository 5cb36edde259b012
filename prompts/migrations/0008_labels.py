import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import paid.lib.constraints
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0009_api_tokens'),
        ('prompts', '0007_experiments'),
    ]

    operations = [
        migrations.CreateModel(
            name='PromptLabel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=50, validators=[django.core.validators.RegexValidator('^[a-z0-9][a-z0-9_-]{0,49}$')])),
                ('moved_by', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('prompt', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='labels', to='prompts.prompt')),
                ('prompt_version', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='labels', to='prompts.promptversion')),
            ],
            options={
                'db_table': 'prompt_labels',
                'constraints': [models.UniqueConstraint(fields=('prompt', 'name'), name='prompt_labels_name_unique'), models.CheckConstraint(condition=models.Q(('name__regex', '^[a-z0-9][a-z0-9_-]{0,49}$')), name='prompt_labels_name_shape'), paid.lib.constraints.TenantForeignKey(column='prompt_id', name='prompt_labels_prompt_fk', on_delete='CASCADE', to='prompts'), paid.lib.constraints.TenantForeignKey(column='prompt_version_id', name='prompt_labels_version_fk', on_delete='CASCADE', to='prompt_versions')],
            },
        ),
        sql.KeepUpdatedAt("prompt_labels"),
        sql.SecureTenantTable("prompt_labels"),
        sql.ReadGlobalRows("prompt_labels"),
        sql.SqlFile("prompts", "labels"),
    ]
