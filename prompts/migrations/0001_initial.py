import django.contrib.postgres.fields
import django.contrib.postgres.indexes
import django.contrib.postgres.search
import django.db.models.deletion
import django.db.models.functions.datetime
import paid.lib.constraints
from django.conf import settings
from django.db import migrations, models

from paid.lib import sql


class Migration(migrations.Migration):

    initial = True

    dependencies = [
        ('accounts', '0001_initial'),
        ('projects', '0001_initial'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='LanguageModel',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('provider', models.CharField(max_length=50)),
                ('model_id', models.CharField(max_length=200)),
                ('name', models.CharField(max_length=200)),
                ('context_window', models.PositiveIntegerField(db_default=0, default=0)),
                ('max_output_tokens', models.PositiveIntegerField(db_default=0, default=0)),
                ('abilities', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, db_default=models.Value([], output_field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), size=None)), default=list, size=None)),
                ('agents', django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), blank=True, db_default=models.Value([], output_field=django.contrib.postgres.fields.ArrayField(base_field=models.CharField(max_length=50), size=None)), default=list, size=None)),
                ('is_scripted', models.BooleanField(db_default=False, default=False)),
                ('is_active', models.BooleanField(db_default=True, default=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='language_models', to='accounts.account')),
            ],
            options={
                'db_table': 'language_models',
            },
        ),
        migrations.CreateModel(
            name='ModelPreference',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('category', models.CharField(blank=True, choices=[('coding', 'Coding'), ('review', 'Review'), ('planning', 'Planning'), ('meta', 'Meta')], db_default='', default='', max_length=20)),
                ('stance', models.CharField(choices=[('prefer', 'Prefer'), ('require', 'Require'), ('exclude', 'Exclude')], max_length=20)),
                ('provider', models.CharField(blank=True, db_default='', default='', max_length=50)),
                ('model_account_id', models.BigIntegerField(blank=True, null=True)),
                ('position', models.PositiveSmallIntegerField(db_default=0, default=0)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='model_preferences', to='accounts.account')),
                ('language_model', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='+', to='prompts.languagemodel')),
                ('project', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='model_preferences', to='projects.project')),
            ],
            options={
                'db_table': 'model_preferences',
            },
        ),
        migrations.CreateModel(
            name='ModelPrice',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('token_class', models.CharField(choices=[('input', 'Input'), ('output', 'Output'), ('cache_read', 'Cache read'), ('cache_write', 'Cache write')], max_length=20)),
                ('usd_per_million', models.DecimalField(decimal_places=6, max_digits=12)),
                ('threshold_tokens', models.PositiveIntegerField(db_default=0, default=0)),
                ('starts_at', models.DateTimeField()),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('language_model', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='prices', to='prompts.languagemodel')),
            ],
            options={
                'db_table': 'model_prices',
            },
        ),
        migrations.CreateModel(
            name='Prompt',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('scope', models.CharField(choices=[('global', 'Global'), ('account', 'Account'), ('project', 'Project')], max_length=20)),
                ('slug', models.CharField(max_length=100)),
                ('name', models.CharField(max_length=200)),
                ('category', models.CharField(choices=[('coding', 'Coding'), ('review', 'Review'), ('planning', 'Planning'), ('meta', 'Meta')], max_length=20)),
                ('description', models.TextField(blank=True, db_default='', default='')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='prompts', to='accounts.account')),
                ('project', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='prompts', to='projects.project')),
            ],
            options={
                'db_table': 'prompts',
            },
        ),
        migrations.CreateModel(
            name='AbTest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('prompt_account_id', models.BigIntegerField()),
                ('name', models.CharField(max_length=200)),
                ('status', models.CharField(choices=[('draft', 'Draft'), ('running', 'Running'), ('paused', 'Paused'), ('completed', 'Completed')], db_default='draft', default='draft', max_length=20)),
                ('metric', models.CharField(choices=[('quality_score', 'Quality score'), ('merge_rate', 'Merge rate'), ('cost', 'Cost'), ('iterations', 'Iterations')], db_default='quality_score', default='quality_score', max_length=30)),
                ('traffic_share', models.DecimalField(db_default=1, decimal_places=4, default=1, max_digits=5)),
                ('salt', models.CharField(max_length=64)),
                ('started_at', models.DateTimeField(blank=True, null=True)),
                ('ended_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='ab_tests', to='accounts.account')),
                ('prompt', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='ab_tests', to='prompts.prompt')),
            ],
            options={
                'db_table': 'ab_tests',
            },
        ),
        migrations.CreateModel(
            name='PromptVersion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('version', models.PositiveIntegerField()),
                ('template', models.TextField()),
                ('variables', models.JSONField(blank=True, db_default=[], default=list)),
                ('system_prompt', models.TextField(blank=True, db_default='', default='')),
                ('change_notes', models.TextField(blank=True, db_default='', default='')),
                ('author', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('created_by', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to=settings.AUTH_USER_MODEL)),
                ('parent_version', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='children', to='prompts.promptversion')),
                ('prompt', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='versions', to='prompts.prompt')),
            ],
            options={
                'db_table': 'prompt_versions',
            },
        ),
        migrations.AddField(
            model_name='prompt',
            name='current_version',
            field=models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='prompts.promptversion'),
        ),
        migrations.CreateModel(
            name='AbVariant',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('version_account_id', models.BigIntegerField()),
                ('name', models.CharField(max_length=100)),
                ('weight', models.PositiveIntegerField(db_default=1, default=1)),
                ('is_control', models.BooleanField(db_default=False, default=False)),
                ('ab_test', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='variants', to='prompts.abtest')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('prompt_version', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.DO_NOTHING, related_name='variants', to='prompts.promptversion')),
            ],
            options={
                'db_table': 'ab_variants',
            },
        ),
        migrations.CreateModel(
            name='StyleGuide',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=200)),
                ('language', models.CharField(blank=True, db_default='', default='', max_length=50)),
                ('raw_text', models.TextField()),
                ('compressed_text', models.TextField(blank=True, db_default='', default='')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='style_guides', to='accounts.account')),
                ('project', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.CASCADE, related_name='style_guides', to='projects.project')),
            ],
            options={
                'db_table': 'style_guides',
            },
        ),
        migrations.AddConstraint(
            model_name='languagemodel',
            constraint=models.UniqueConstraint(fields=('account', 'id'), name='language_models_tenant_key'),
        ),
        migrations.AddConstraint(
            model_name='languagemodel',
            constraint=models.UniqueConstraint(fields=('account', 'provider', 'model_id'), name='language_models_model_unique'),
        ),
        migrations.AddConstraint(
            model_name='modelpreference',
            constraint=models.UniqueConstraint(fields=('account', 'project', 'category', 'stance', 'provider', 'language_model'), name='model_preferences_unique', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='modelpreference',
            constraint=models.CheckConstraint(condition=models.Q(('stance__in', ['prefer', 'require', 'exclude'])), name='model_preferences_stance_known'),
        ),
        migrations.AddConstraint(
            model_name='modelpreference',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(models.Q(('provider', ''), _negated=True), ('language_model__isnull', True)), models.Q(('provider', ''), ('language_model__isnull', False), ('model_account_id__isnull', False)), _connector='OR'), name='model_preferences_one_target'),
        ),
        migrations.AddConstraint(
            model_name='modelpreference',
            constraint=models.CheckConstraint(condition=models.Q(('model_account_id__isnull', True), ('model_account_id', 0), ('model_account_id', models.F('account_id')), _connector='OR'), name='model_preferences_model_account'),
        ),
        migrations.AddConstraint(
            model_name='modelprice',
            constraint=models.UniqueConstraint(fields=('language_model', 'token_class', 'threshold_tokens', 'starts_at'), name='model_prices_start_unique'),
        ),
        migrations.AddConstraint(
            model_name='modelprice',
            constraint=models.CheckConstraint(condition=models.Q(('usd_per_million__gte', 0)), name='model_prices_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='modelprice',
            constraint=models.CheckConstraint(condition=models.Q(('token_class__in', ['input', 'output', 'cache_read', 'cache_write'])), name='model_prices_token_class_known'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.UniqueConstraint(fields=('account', 'id'), name='ab_tests_tenant_key'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.UniqueConstraint(condition=models.Q(('status', 'running')), fields=('account', 'prompt'), name='ab_tests_one_running'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.CheckConstraint(condition=models.Q(('status__in', ['draft', 'running', 'paused', 'completed'])), name='ab_tests_status_known'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.CheckConstraint(condition=models.Q(('metric__in', ['quality_score', 'merge_rate', 'cost', 'iterations'])), name='ab_tests_metric_known'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.CheckConstraint(condition=models.Q(('traffic_share__gt', 0), ('traffic_share__lte', 1)), name='ab_tests_traffic_share_is_a_share'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=models.CheckConstraint(condition=models.Q(('prompt_account_id', 0), ('prompt_account_id', models.F('account_id')), _connector='OR'), name='ab_tests_prompt_account'),
        ),
        migrations.AddIndex(
            model_name='promptversion',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.search.SearchVector('template', config='english'), name='prompt_versions_search'),
        ),
        migrations.AddIndex(
            model_name='promptversion',
            index=django.contrib.postgres.indexes.GinIndex(django.contrib.postgres.indexes.OpClass('template', name='gin_trgm_ops'), name='prompt_versions_trgm'),
        ),
        migrations.AddConstraint(
            model_name='promptversion',
            constraint=models.UniqueConstraint(fields=('account', 'id'), name='prompt_versions_tenant_key'),
        ),
        migrations.AddConstraint(
            model_name='promptversion',
            constraint=models.UniqueConstraint(fields=('prompt', 'version'), name='prompt_versions_number_unique'),
        ),
        migrations.AddConstraint(
            model_name='promptversion',
            constraint=models.CheckConstraint(condition=models.Q(('version__gt', 0)), name='prompt_versions_number_positive'),
        ),
        migrations.AddConstraint(
            model_name='promptversion',
            constraint=models.CheckConstraint(condition=models.Q(('template', ''), _negated=True), name='prompt_versions_template_not_empty'),
        ),
        migrations.AddConstraint(
            model_name='prompt',
            constraint=models.UniqueConstraint(fields=('account', 'id'), name='prompts_tenant_key'),
        ),
        migrations.AddConstraint(
            model_name='prompt',
            constraint=models.UniqueConstraint(fields=('account', 'project', 'slug'), name='prompts_slug_unique', nulls_distinct=False),
        ),
        migrations.AddConstraint(
            model_name='prompt',
            constraint=models.CheckConstraint(condition=models.Q(('slug__regex', '^[a-z0-9_]+(\\.[a-z0-9_]+)*$')), name='prompts_slug_shape'),
        ),
        migrations.AddConstraint(
            model_name='prompt',
            constraint=models.CheckConstraint(condition=models.Q(('category__in', ['coding', 'review', 'planning', 'meta'])), name='prompts_category_known'),
        ),
        migrations.AddConstraint(
            model_name='prompt',
            constraint=models.CheckConstraint(condition=models.Q(models.Q(('account_id', 0), ('project__isnull', True), ('scope', 'global')), models.Q(('project__isnull', True), ('scope', 'account'), models.Q(('account_id', 0), _negated=True)), models.Q(('project__isnull', False), ('scope', 'project'), models.Q(('account_id', 0), _negated=True)), _connector='OR'), name='prompts_scope_matches_owner'),
        ),
        migrations.AddConstraint(
            model_name='abvariant',
            constraint=models.UniqueConstraint(fields=('account', 'id'), name='ab_variants_tenant_key'),
        ),
        migrations.AddConstraint(
            model_name='abvariant',
            constraint=models.UniqueConstraint(fields=('ab_test', 'name'), name='ab_variants_name_unique'),
        ),
        migrations.AddConstraint(
            model_name='abvariant',
            constraint=models.UniqueConstraint(condition=models.Q(('is_control', True)), fields=('ab_test',), name='ab_variants_one_control'),
        ),
        migrations.AddConstraint(
            model_name='abvariant',
            constraint=models.CheckConstraint(condition=models.Q(('weight__gt', 0), ('weight__lte', 1000000)), name='ab_variants_weight_positive'),
        ),
        migrations.AddConstraint(
            model_name='abvariant',
            constraint=models.CheckConstraint(condition=models.Q(('version_account_id', 0), ('version_account_id', models.F('account_id')), _connector='OR'), name='ab_variants_version_account'),
        ),
        migrations.AddConstraint(
            model_name='styleguide',
            constraint=models.UniqueConstraint(fields=('account', 'project', 'language', 'name'), name='style_guides_name_unique', nulls_distinct=False),
        ),
        # After every key that they reference, so that backwards they go first.
        migrations.AddConstraint(
            model_name='modelpreference',
            constraint=paid.lib.constraints.TenantForeignKey(column='project_id', name='model_preferences_project_fk', on_delete='CASCADE', to='projects'),
        ),
        migrations.AddConstraint(
            model_name='modelpreference',
            constraint=paid.lib.constraints.TenantForeignKey(account_column='model_account_id', column='language_model_id', name='model_preferences_model_fk', on_delete='CASCADE', to='language_models'),
        ),
        migrations.AddConstraint(
            model_name='modelprice',
            constraint=paid.lib.constraints.TenantForeignKey(column='language_model_id', name='model_prices_model_fk', on_delete='CASCADE', to='language_models'),
        ),
        migrations.AddConstraint(
            model_name='abtest',
            constraint=paid.lib.constraints.TenantForeignKey(account_column='prompt_account_id', column='prompt_id', name='ab_tests_prompt_fk', on_delete='CASCADE', to='prompts'),
        ),
        migrations.AddConstraint(
            model_name='promptversion',
            constraint=paid.lib.constraints.TenantForeignKey(column='prompt_id', name='prompt_versions_prompt_fk', on_delete='CASCADE', to='prompts'),
        ),
        migrations.AddConstraint(
            model_name='promptversion',
            constraint=paid.lib.constraints.TenantForeignKey(column='parent_version_id', name='prompt_versions_parent_fk', to='prompt_versions'),
        ),
        migrations.AddConstraint(
            model_name='prompt',
            constraint=paid.lib.constraints.TenantForeignKey(column='project_id', name='prompts_project_fk', on_delete='CASCADE', to='projects'),
        ),
        migrations.AddConstraint(
            model_name='prompt',
            constraint=paid.lib.constraints.TenantForeignKey(column='current_version_id', name='prompts_current_version_fk', to='prompt_versions'),
        ),
        migrations.AddConstraint(
            model_name='abvariant',
            constraint=paid.lib.constraints.TenantForeignKey(column='ab_test_id', name='ab_variants_ab_test_fk', on_delete='CASCADE', to='ab_tests'),
        ),
        migrations.AddConstraint(
            model_name='abvariant',
            constraint=paid.lib.constraints.TenantForeignKey(account_column='version_account_id', column='prompt_version_id', name='ab_variants_version_fk', to='prompt_versions'),
        ),
        migrations.AddConstraint(
            model_name='styleguide',
            constraint=paid.lib.constraints.TenantForeignKey(column='project_id', name='style_guides_project_fk', on_delete='CASCADE', to='projects'),
        ),
        sql.KeepUpdatedAt("prompts", "style_guides", "language_models", "model_preferences", "ab_tests"),
        sql.SecureTenantTable(
            "prompts", "prompt_versions", "style_guides", "language_models", "model_prices", "model_preferences",
            "ab_tests", "ab_variants",
        ),
        sql.ReadGlobalRows("prompts", "prompt_versions", "style_guides", "language_models", "model_prices"),
        sql.Immutable("prompt_versions", "model_prices"),
        sql.SqlFile("prompts", "rules"),
    ]
