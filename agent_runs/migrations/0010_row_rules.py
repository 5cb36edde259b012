import paid.lib.constraints
from django.conf import settings
from django.db import migrations, models


class Migration(migrations.Migration):
    """Rules of columns that a model call does not write are read when they are written, not at each call."""

    dependencies = [
        ('accounts', '0012_row_rules'),
        ('agent_runs', '0009_model_choice_valid'),
        ('projects', '0012_issues_in_order'),
        ('prompts', '0011_search_of_many_words'),
        migrations.swappable_dependency(settings.AUTH_USER_MODEL),
    ]

    operations = [
        migrations.RemoveConstraint(
            model_name='agentrun',
            name='agent_runs_status_known',
        ),
        migrations.RemoveConstraint(
            model_name='agentrun',
            name='agent_runs_ended_has_time_and_no_token',
        ),
        migrations.RemoveConstraint(
            model_name='agentrun',
            name='agent_runs_version_account',
        ),
        migrations.RemoveConstraint(
            model_name='agentrun',
            name='agent_runs_model_account',
        ),
        migrations.RemoveConstraint(
            model_name='agentrun',
            name='agent_runs_paused_since_when',
        ),
        migrations.RemoveConstraint(
            model_name='agentrun',
            name='agent_runs_trigger_known',
        ),
        migrations.AlterField(
            model_name='agentrun',
            name='iterations',
            field=models.IntegerField(db_default=0, default=0),
        ),
        migrations.AlterField(
            model_name='agentrun',
            name='pauses',
            field=models.SmallIntegerField(db_default=0, default=0),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.RowRule(condition=models.Q(('status__in', ['queued', 'preparing', 'running', 'paused', 'publishing', 'completed', 'failed', 'stopped'])), name='agent_runs_status_known'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.RowRule(condition=models.Q(('trigger__in', ['person', 'label', 'api', 'demo', 'evolution', 'model_choice'])), name='agent_runs_trigger_known'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.RowRule(condition=models.Q(('iterations__gte', 0), ('pauses__gte', 0)), name='agent_runs_counts_not_negative'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.RowRule(condition=models.Q(models.Q(('finished_at__isnull', False), ('run_token_hash__isnull', True)), models.Q(('finished_at__isnull', True), ('status__in', ('queued', 'preparing', 'running', 'paused', 'publishing'))), _connector='OR'), name='agent_runs_ended_has_time_and_no_token'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.RowRule(condition=models.Q(models.Q(('paused_at__isnull', False), ('status', 'paused')), models.Q(models.Q(('status', 'paused'), _negated=True), ('paused_at__isnull', True)), _connector='OR'), name='agent_runs_paused_since_when'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.RowRule(condition=models.Q(('version_account_id', 0), ('version_account_id', models.F('account_id')), _connector='OR'), name='agent_runs_version_account'),
        ),
        migrations.AddConstraint(
            model_name='agentrun',
            constraint=paid.lib.constraints.RowRule(condition=models.Q(('model_account_id', 0), ('model_account_id', models.F('account_id')), _connector='OR'), name='agent_runs_model_account'),
        ),
    ]
