"""What a run leaves beside its log."""

from collections.abc import Sequence
from decimal import Decimal

from django.db import transaction

from agent_runs.contracts import Diff
from agent_runs.models import (
    AgentRun,
    ModelQuestion,
    ModelQuestionStatus,
    ModelSelection,
    RunDiff,
    SelectedBy,
)
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
def open_model_question(*, run: AgentRun, cap_usd: Decimal) -> ModelQuestion:
    """The meta-agent is to be heard before the run begins."""
    return ModelQuestion.objects.create(account_id=run.account_id, agent_run=run, cap_usd=cap_usd)


@transaction.atomic
def keep_consultation(*, question: ModelQuestion, consultation: AgentRun, candidates: Sequence[object]) -> None:
    """Who is asked, and what it was told of."""
    ModelQuestion.objects.filter(pk=question.pk).update(consultation=consultation)
    ModelSelection.objects.filter(agent_run_id=question.agent_run_id).update(candidates=list(candidates))
    question.consultation = consultation


@transaction.atomic
def close_model_question(*, question: ModelQuestion, status: ModelQuestionStatus) -> bool:
    """False when it was closed before: the first word stands."""
    closed = ModelQuestion.objects.filter(pk=question.pk, status=ModelQuestionStatus.ASKING).update(status=status)
    return closed == 1


@transaction.atomic
def explain_model_selection(*, run: AgentRun, reason: str) -> None:
    """Say more about a choice that stands."""
    ModelSelection.objects.filter(agent_run=run).update(reason=reason)


@transaction.atomic
def replace_model_selection(
    *, run: AgentRun, language_model: LanguageModel, selected_by: SelectedBy, reason: str
) -> None:
    """Another choice takes the place of the one that was recorded; what it was chosen from stays."""
    ModelSelection.objects.filter(agent_run=run).update(
        model_account_id=language_model.account_id,
        language_model=language_model,
        selected_by=selected_by,
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
