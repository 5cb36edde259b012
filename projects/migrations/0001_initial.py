import django.contrib.postgres.indexes
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
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.CreateModel(
            name='Project',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('name', models.CharField(max_length=200)),
                ('forge', models.CharField(choices=[('github', 'GitHub'), ('local', 'This machine')], max_length=20)),
                ('owner', models.CharField(max_length=200)),
                ('repo', models.CharField(max_length=200)),
                ('default_branch', models.CharField(db_default='main', default='main', max_length=250)),
                ('labels', models.JSONField(blank=True, db_default={}, default=dict)),
                ('settings', models.JSONField(blank=True, db_default={}, default=dict)),
                ('poll_interval_seconds', models.PositiveIntegerField(db_default=60, default=60)),
                ('is_active', models.BooleanField(db_default=True, default=True)),
                ('runs_count', models.PositiveIntegerField(db_default=0, default=0)),
                ('cost_usd', models.DecimalField(db_default=0, decimal_places=12, default=0, max_digits=20)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='projects', to='accounts.account')),
                ('github_token', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='projects', to='accounts.githubtoken')),
            ],
            options={
                'db_table': 'projects',
            },
        ),
        migrations.CreateModel(
            name='Issue',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('forge_id', models.CharField(blank=True, db_default='', default='', max_length=100)),
                ('number', models.PositiveIntegerField()),
                ('title', models.CharField(max_length=1000)),
                ('body', models.TextField(blank=True, db_default='', default='')),
                ('author', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('url', models.CharField(blank=True, db_default='', default='', max_length=2000)),
                ('state', models.CharField(choices=[('open', 'Open'), ('closed', 'Closed')], db_default='open', default='open', max_length=20)),
                ('labels', models.JSONField(blank=True, db_default=[], default=list)),
                ('work_state', models.CharField(choices=[('new', 'Not started'), ('queued', 'Queued'), ('in_progress', 'In progress'), ('in_review', 'In review'), ('done', 'Done'), ('failed', 'Failed')], db_default='new', default='new', max_length=20)),
                ('etag', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('forge_updated_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('parent', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='children', to='projects.issue')),
                ('project', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='issues', to='projects.project')),
            ],
            options={
                'db_table': 'issues',
            },
        ),
        migrations.CreateModel(
            name='Comment',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('number', models.PositiveIntegerField()),
                ('author', models.CharField(max_length=200)),
                ('body', models.TextField()),
                ('marker', models.CharField(blank=True, db_default='', default='', max_length=100)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('project', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='comments', to='projects.project')),
            ],
            options={
                'db_table': 'comments',
            },
        ),
        migrations.CreateModel(
            name='ProjectMembership',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('role', models.CharField(choices=[('viewer', 'Viewer'), ('member', 'Member'), ('admin', 'Admin'), ('owner', 'Owner')], max_length=20)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('project', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='memberships', to='projects.project')),
                ('user', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='project_memberships', to=settings.AUTH_USER_MODEL)),
            ],
            options={
                'db_table': 'project_memberships',
            },
        ),
        migrations.CreateModel(
            name='PullRequest',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('number', models.PositiveIntegerField()),
                ('marker', models.CharField(max_length=100)),
                ('title', models.CharField(max_length=1000)),
                ('body', models.TextField(blank=True, db_default='', default='')),
                ('head_branch', models.CharField(max_length=250)),
                ('base_branch', models.CharField(max_length=250)),
                ('head_sha', models.CharField(max_length=64)),
                ('base_sha', models.CharField(max_length=64)),
                ('state', models.CharField(choices=[('open', 'Open'), ('merged', 'Merged'), ('closed', 'Closed')], db_default='open', default='open', max_length=20)),
                ('labels', models.JSONField(blank=True, db_default=[], default=list)),
                ('url', models.CharField(blank=True, db_default='', default='', max_length=2000)),
                ('merged_at', models.DateTimeField(blank=True, null=True)),
                ('merged_by', models.CharField(blank=True, db_default='', default='', max_length=200)),
                ('closed_at', models.DateTimeField(blank=True, null=True)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('issue', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='pull_requests', to='projects.issue')),
                ('project', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='pull_requests', to='projects.project')),
            ],
            options={
                'db_table': 'pull_requests',
            },
        ),
        migrations.CreateModel(
            name='WebhookDelivery',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('delivery_id', models.CharField(max_length=100)),
                ('event', models.CharField(max_length=100)),
                ('payload', models.JSONField(db_default={}, default=dict)),
                ('claim_state', models.CharField(choices=[('received', 'Received'), ('claimed', 'Claimed'), ('done', 'Done'), ('ignored', 'Ignored'), ('failed', 'Failed')], db_default='received', default='received', max_length=20)),
                ('claimed_until', models.DateTimeField(blank=True, null=True)),
                ('error', models.TextField(blank=True, db_default='', default='')),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('project', models.ForeignKey(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='webhook_deliveries', to='projects.project')),
            ],
            options={
                'db_table': 'webhook_deliveries',
            },
        ),
        migrations.AddIndex(
            model_name='project',
            index=django.contrib.postgres.indexes.GinIndex(fields=['labels'], name='projects_labels_gin'),
        ),
        migrations.AddConstraint(
            model_name='project',
            constraint=models.UniqueConstraint(fields=('account', 'id'), name='projects_tenant_key'),
        ),
        migrations.AddConstraint(
            model_name='project',
            constraint=models.UniqueConstraint(fields=('account', 'forge', 'owner', 'repo'), name='projects_repository_unique'),
        ),
        migrations.AddConstraint(
            model_name='project',
            constraint=models.CheckConstraint(condition=models.Q(('forge__in', ['github', 'local'])), name='projects_forge_known'),
        ),
        migrations.AddIndex(
            model_name='issue',
            index=django.contrib.postgres.indexes.GinIndex(fields=['labels'], name='issues_labels_gin'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.UniqueConstraint(fields=('account', 'id'), name='issues_tenant_key'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.UniqueConstraint(fields=('project', 'number'), name='issues_number_unique'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.CheckConstraint(condition=models.Q(('number__gt', 0)), name='issues_number_positive'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['open', 'closed'])), name='issues_state_known'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=models.CheckConstraint(condition=models.Q(('work_state__in', ['new', 'queued', 'in_progress', 'in_review', 'done', 'failed'])), name='issues_work_state_known'),
        ),
        migrations.AddIndex(
            model_name='comment',
            index=models.Index(fields=['project', 'number', 'id'], name='comments_of_number'),
        ),
        migrations.AddConstraint(
            model_name='comment',
            constraint=models.UniqueConstraint(condition=models.Q(('marker', ''), _negated=True), fields=('project', 'marker'), name='comments_marker_unique'),
        ),
        migrations.AddConstraint(
            model_name='projectmembership',
            constraint=models.UniqueConstraint(fields=('project', 'user'), name='project_memberships_pair_unique'),
        ),
        migrations.AddConstraint(
            model_name='projectmembership',
            constraint=models.CheckConstraint(condition=models.Q(('role__in', ['viewer', 'member', 'admin', 'owner'])), name='project_memberships_role_known'),
        ),
        migrations.AddConstraint(
            model_name='pullrequest',
            constraint=models.UniqueConstraint(fields=('account', 'id'), name='pull_requests_tenant_key'),
        ),
        migrations.AddConstraint(
            model_name='pullrequest',
            constraint=models.UniqueConstraint(fields=('project', 'number'), name='pull_requests_number_unique'),
        ),
        migrations.AddConstraint(
            model_name='pullrequest',
            constraint=models.UniqueConstraint(fields=('project', 'marker'), name='pull_requests_marker_unique'),
        ),
        migrations.AddConstraint(
            model_name='pullrequest',
            constraint=models.CheckConstraint(condition=models.Q(('state__in', ['open', 'merged', 'closed'])), name='pull_requests_state_known'),
        ),
        migrations.AddConstraint(
            model_name='pullrequest',
            constraint=models.CheckConstraint(condition=models.Q(('merged_at__isnull', False), models.Q(('state', 'merged'), _negated=True), _connector='OR'), name='pull_requests_merged_has_time'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.UniqueConstraint(fields=('project', 'delivery_id'), name='webhook_deliveries_once'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=models.CheckConstraint(condition=models.Q(('claim_state__in', ['received', 'claimed', 'done', 'ignored', 'failed'])), name='webhook_deliveries_claim_state_known'),
        ),
        # After every key that they reference, so that backwards they go first.
        migrations.AddConstraint(
            model_name='project',
            constraint=paid.lib.constraints.TenantForeignKey(column='github_token_id', name='projects_github_token_fk', on_delete='SET NULL', to='github_tokens'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=paid.lib.constraints.TenantForeignKey(column='project_id', name='issues_project_fk', on_delete='CASCADE', to='projects'),
        ),
        migrations.AddConstraint(
            model_name='issue',
            constraint=paid.lib.constraints.TenantForeignKey(column='parent_id', name='issues_parent_fk', on_delete='SET NULL', to='issues'),
        ),
        migrations.AddConstraint(
            model_name='comment',
            constraint=paid.lib.constraints.TenantForeignKey(column='project_id', name='comments_project_fk', on_delete='CASCADE', to='projects'),
        ),
        migrations.AddConstraint(
            model_name='projectmembership',
            constraint=paid.lib.constraints.TenantForeignKey(column='project_id', name='project_memberships_project_fk', on_delete='CASCADE', to='projects'),
        ),
        migrations.AddConstraint(
            model_name='pullrequest',
            constraint=paid.lib.constraints.TenantForeignKey(column='project_id', name='pull_requests_project_fk', on_delete='CASCADE', to='projects'),
        ),
        migrations.AddConstraint(
            model_name='pullrequest',
            constraint=paid.lib.constraints.TenantForeignKey(column='issue_id', name='pull_requests_issue_fk', on_delete='SET NULL', to='issues'),
        ),
        migrations.AddConstraint(
            model_name='webhookdelivery',
            constraint=paid.lib.constraints.TenantForeignKey(column='project_id', name='webhook_deliveries_project_fk', on_delete='CASCADE', to='projects'),
        ),
        sql.KeepUpdatedAt("projects", "issues", "pull_requests"),
        sql.SecureTenantTable("projects", "project_memberships", "issues", "comments", "pull_requests", "webhook_deliveries"),
        sql.SqlFile("projects", "rules"),
    ]
