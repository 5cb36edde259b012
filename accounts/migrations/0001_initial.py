import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.core.validators
import django.db.models.deletion
import django.db.models.functions.datetime
import django.db.models.functions.text
import paid.lib.encryption
from django.conf import settings
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    initial = True

    dependencies = [
    ]

    operations = [
        sql.SqlFile("paid.lib", "foundation"),
        sql.SqlFile("paid.lib", "partitions"),
        migrations.CreateModel(
            name='User',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('password', models.CharField(max_length=128, verbose_name='password')),
                ('last_login', models.DateTimeField(blank=True, null=True, verbose_name='last login')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('email', models.EmailField(max_length=254)),
                ('name', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('is_active', models.BooleanField(db_default=True, default=True)),
                ('is_staff', models.BooleanField(db_default=False, default=False)),
            ],
            options={
                'db_table': 'users',
                'constraints': [models.UniqueConstraint(django.db.models.functions.text.Lower('email'), name='users_email_unique')],
            },
        ),
        migrations.CreateModel(
            name='Account',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=200)),
                ('slug', models.CharField(max_length=63, validators=[django.core.validators.RegexValidator('^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$')])),
                ('settings', models.JSONField(blank=True, db_default={}, default=dict)),
                ('plan', models.CharField(choices=[('free', 'Free'), ('pro', 'Pro'), ('enterprise', 'Enterprise')], db_default='free', default='free', max_length=20)),
                ('billing_email', models.EmailField(blank=True, db_default='', default='', max_length=254)),
            ],
            options={
                'db_table': 'accounts',
                'indexes': [django.contrib.postgres.indexes.GinIndex(fields=['settings'], name='accounts_settings_gin')],
                'constraints': [models.UniqueConstraint(fields=('slug',), name='accounts_slug_unique'), models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9](?:[a-z0-9-]{0,61}[a-z0-9])?$')), name='accounts_slug_shape'), models.CheckConstraint(condition=models.Q(('plan__in', ['free', 'pro', 'enterprise'])), name='accounts_plan_known')],
            },
        ),
        sql.CreatePartitionedModel(
            name='AuditEvent',
            fields=[
                ('pk', models.CompositePrimaryKey('created_at', 'id', blank=True, editable=False, primary_key=True, serialize=False)),
                ('id', models.UUIDField(db_default=models.Func(function='gen_random_uuid', output_field=models.UUIDField()))),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now())),
                ('actor_user_id', models.BigIntegerField(null=True)),
                ('actor', models.CharField(db_default='', default='', max_length=200)),
                ('action', models.CharField(max_length=100)),
                ('object_type', models.CharField(db_default='', default='', max_length=100)),
                ('object_id', models.CharField(db_default='', default='', max_length=100)),
                ('data', models.JSONField(db_default={}, default=dict)),
                ('address', models.GenericIPAddressField(null=True)),
                ('account', models.ForeignKey(db_constraint=False, db_index=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='accounts.account')),
            ],
            options={
                'db_table': 'audit_events',
                'indexes': [models.Index(fields=['account', '-created_at'], name='audit_events_newest')],
            },
            by="created_at", unit="month", ahead=3, keep_days=None,
        ),
        migrations.CreateModel(
            name='GithubToken',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=200)),
                ('token', paid.lib.encryption.EncryptedField()),
                ('fingerprint', models.BinaryField(max_length=32)),
                ('scopes', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), db_default=models.Value([], output_field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=100), size=None)), default=list, size=None)),
                ('expires_at', models.DateTimeField(blank=True, null=True)),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='github_tokens', to='accounts.account')),
            ],
            options={
                'db_table': 'github_tokens',
                'indexes': [django.contrib.postgres.indexes.GinIndex(fields=['scopes'], name='github_tokens_scopes_gin')],
                'constraints': [models.UniqueConstraint(fields=('account', 'id'), name='github_tokens_tenant_key'), models.UniqueConstraint(condition=models.Q(('revoked_at__isnull', True)), fields=('account', 'fingerprint'), name='github_tokens_fingerprint_unique')],
            },
        ),
        migrations.CreateModel(
            name='Membership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('member', 'Member'), ('admin', 'Admin'), ('owner', 'Owner')], db_default='member', default='member', max_length=20)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='accounts.account')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'memberships',
                'constraints': [models.UniqueConstraint(fields=('account', 'user'), name='memberships_pair_unique'), models.CheckConstraint(condition=models.Q(('role__in', ['viewer', 'member', 'admin', 'owner'])), name='memberships_role_known')],
            },
        ),
        migrations.CreateModel(
            name='ProviderKey',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('provider', models.CharField(max_length=50)),
                ('name', models.CharField(max_length=200)),
                ('key', paid.lib.encryption.EncryptedField()),
                ('base_url', models.URLField(blank=True, db_default='', default='')),
                ('last_used_at', models.DateTimeField(blank=True, null=True)),
                ('revoked_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='provider_keys', to='accounts.account')),
            ],
            options={
                'db_table': 'provider_keys',
                'constraints': [models.UniqueConstraint(condition=models.Q(('revoked_at__isnull', True)), fields=('account', 'provider', 'name'), name='provider_keys_name_unique')],
            },
        ),
        sql.KeepUpdatedAt("accounts", "github_tokens", "provider_keys"),
        sql.SecureTenantTable("memberships", "github_tokens", "provider_keys", "audit_events"),
        sql.AppendOnly("audit_events"),
        sql.SqlFile("accounts", "rules"),
    ]
