"""What a run leaves beside its log."""

from collections.abc import Sequence

from django.db import transaction

from agent_runs.contracts import Diff
from agent_runs.models import AgentRun, ModelSelection, RunDiff, SelectedBy
from prompts.models import LanguageModel


@transaction.atomic
def record_model_selection(
    *,
    run: AgentRun,
    language_model: LanguageModel,
    selected_by: SelectedBy,
    candidates: Sequence[object],
    reason: str,
) -> ModelSelection:
    return ModelSelection.objects.create(
        account_id=run.account_id,
        agent_run=run,
        model_account_id=language_model.account_id,
        language_model=language_model,
        selected_by=selected_by,
        candidates=list(candidates),
        reason=reason,
    )


@transaction.atomic
def store_diff(*, run: AgentRun, diff: Diff) -> None:
    RunDiff.objects.update_or_create(
        agent_run=run,
        defaults={
            "account_id": run.account_id,
            "patch": diff.text.replace("\0", "\ufffd"),
            "files_changed": diff.files,
            "lines_added": diff.insertions,
            "lines_removed": diff.deletions,
            "is_truncated": diff.truncated,
        },
    )
