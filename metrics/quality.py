"""What a run was worth: its row begins with what the run itself tells; votes, CI and the merge come later."""

from django.db import transaction

from agent_runs.models import AgentRun, RunDiff
from metrics.models import QualityMetric


@transaction.atomic
def begin_quality(*, run: AgentRun) -> None:
    """Write what is confirmed at the end of a run. Said again it brings the same row up to date."""
    diff = RunDiff.objects.filter(agent_run=run).only("lines_added", "lines_removed").first()
    QualityMetric.objects.update_or_create(
        agent_run=run,
        defaults={
            "account_id": run.account_id,
            "project_id": run.project_id,
            "prompt_version_id": run.prompt_version_id,
            "ab_variant_id": run.ab_variant_id,
            "language_model_id": run.language_model_id,
            "iterations": run.iterations,
            "lines_added": diff.lines_added if diff else 0,
            "lines_removed": diff.lines_removed if diff else 0,
        },
    )
