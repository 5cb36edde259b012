import django.db.models.deletion
import django.db.models.functions.datetime
import paid.lib.constraints
from django.contrib.postgres.operations import AddConstraintNotValid
from django.db import migrations, models

from paid.lib.sql import KeepUpdatedAt, SecureTenantTable, SqlFile


class Migration(migrations.Migration):

    dependencies = [
        ('accounts', '0009_api_tokens'),
        ('agent_runs', '0007_evolution_valid'),
    ]

    operations = [
        migrations.CreateModel(
            name='ModelQuestion',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('created_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('updated_at', models.DateTimeField(db_default=django.db.models.functions.datetime.Now(), editable=False)),
                ('status', models.CharField(choices=[('asking', 'A model is asked'), ('followed', 'Its choice was followed'), ('set_aside', "The rules' choice stayed")], db_default='asking', default='asking', max_length=20)),
                ('cap_usd', models.DecimalField(decimal_places=12, max_digits=20)),
                ('account', models.ForeignKey(on_delete=django.db.models.deletion.CASCADE, related_name='+', to='accounts.account')),
                ('agent_run', models.OneToOneField(db_constraint=False, on_delete=django.db.models.deletion.CASCADE, related_name='model_question', to='agent_runs.agentrun')),
                ('consultation', models.ForeignKey(blank=True, db_constraint=False, null=True, on_delete=django.db.models.deletion.DO_NOTHING, related_name='+', to='agent_runs.agentrun')),
            ],
            options={
                'db_table': 'model_questions',
                'constraints': [models.CheckConstraint(condition=models.Q(('status__in', ['asking', 'followed', 'set_aside'])), name='model_questions_status_known'), models.CheckConstraint(condition=models.Q(('cap_usd__gt', 0)), name='model_questions_cap_positive'), paid.lib.constraints.TenantForeignKey(column='agent_run_id', name='model_questions_run_fk', on_delete='CASCADE', to='agent_runs'), paid.lib.constraints.TenantForeignKey(column='consultation_id', name='model_questions_consultation_fk', on_delete='SET NULL', to='agent_runs')],
            },
        ),
        KeepUpdatedAt('model_questions'),
        SecureTenantTable('model_questions'),
        SqlFile('agent_runs', 'model_choice'),
        migrations.AlterField(
            model_name='agentrun',
            name='trigger',
            field=models.CharField(choices=[('person', 'A person'), ('label', 'A label'), ('api', 'The API'), ('demo', 'The demo'), ('evolution', 'The evolution of a prompt'), ('model_choice', "The choice of a run's model")], max_length=20),
        ),
        migrations.RemoveConstraint(
            model_name='agentrun',
            name='agent_runs_trigger_known',
        ),
        AddConstraintNotValid(
            model_name='agentrun',
            constraint=models.CheckConstraint(condition=models.Q(('trigger__in', ['person', 'label', 'api', 'demo', 'evolution', 'model_choice'])), name='agent_runs_trigger_known'),
        ),
    ]
