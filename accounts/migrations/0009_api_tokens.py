import django.contrib.postgres.fields
import django.db.models.deletion
import django.db.models.functions.datetime
from django.conf import settings
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0008_erasure'),
    ]

    operations = [
        migrations.CreateModel(
            name='ApiToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=200)),
                ('digest', models.BinaryField(max_length=32)),
                ('hint', models.CharField(max_length=20)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(choices=[('prompts:read', 'Read and resolve prompts'), ('prompts:write', 'Move labels of prompts')], max_length=50), size=None)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='api_tokens', to='accounts.account')),
                ('created_by', models.ForeignKey(null=True, on_delete=django.db.models.deletion.SET_NULL, related_name='+', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'api_tokens',
                'constraints': [models.UniqueConstraint(fields=('digest',), name='api_tokens_digest_unique'), models.CheckConstraint(condition=models.Q(('scopes__contained_by', ['prompts:read', 'prompts:write']), ('scopes__len__gt', 0)), name='api_tokens_scopes_known'), models.CheckConstraint(condition=models.Q(('account_id', 0), _negated=True), name='api_tokens_of_a_tenant')],
            },
        ),
        sql.KeepUpdatedAt("api_tokens"),
        sql.SecureTenantTable("api_tokens"),
        sql.SqlFile("accounts", "api_tokens"),
    ]
