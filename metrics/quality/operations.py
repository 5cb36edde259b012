"""Writes on quality. A score is always computed from the row's own signals, under the row's lock."""

from collections.abc import Callable, Mapping
from datetime import datetime, timedelta
from decimal import Decimal

from django.db import connection, transaction
from django.db.models import Count, Q
from django.utils import timezone
from pydantic import ValidationError

from accounts.models import Account, User
from accounts.operations import record_audit_event
from agent_runs.models import LIVE_STATUSES, AgentRun, RunDiff, RunStatus
from metrics.errors import NothingToVoteOn
from metrics.models import QualityMetric, RunVote
from metrics.quality.score import QualityWeights, Signals, score
from paid.lib.sql import statement
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID, platform, tenant
from projects.models import ChecksState, Project, PullRequest, PullRequestState, ReviewState

SETTING = "quality_weights"
_MERGED = {PullRequestState.MERGED: True, PullRequestState.CLOSED: False}
_PASSING = {ChecksState.SUCCESS: True, ChecksState.FAILURE: False}
_APPROVED = {ReviewState.APPROVED: True, ReviewState.CHANGES_REQUESTED: False}
# How far back the frequent look for late signals goes; the daily one goes back for ever.
RECENT = timedelta(days=2)


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
    refresh_quality(run_id=run.pk)


@transaction.atomic
def refresh_quality(*, run_id: int) -> bool:
    """Take over what the pull request says now, and score again. Gives whether anything changed."""
    row = _locked(run_id)
    run = row.agent_run
    pull_request = PullRequest.objects.filter(pk=run.pull_request_id).first() if run.pull_request_id else None
    before = _state_of(row)
    if pull_request is not None:
        row.is_merged = _MERGED.get(PullRequestState(pull_request.state))
        row.has_passing_ci = _PASSING.get(ChecksState(pull_request.checks_state))
        row.is_approved = _APPROVED.get(ReviewState(pull_request.review_state))
    row.quality_score = score(signals_of(row), weights_for(run.project))
    if _state_of(row) == before:
        return False
    row.save(update_fields=["is_merged", "has_passing_ci", "is_approved", "quality_score"])
    return True


def take_late_signals(*, since: datetime | None = None) -> int:
    """Bring the quality of runs up to date with their pull requests; gives how many rows changed.

    Looks at pull requests that changed after `since` (default: the last two days), a thousand runs at most.
    """
    with platform(), connection.cursor() as cursor:
        cursor.execute(
            statement("metrics", "quality_signals", "runs_with_late_signals"),
            {"since": since or timezone.now() - RECENT},
        )
        found = cursor.fetchall()
    changed = 0
    for run_id, account_id in found:
        with tenant(account_id):
            changed += refresh_quality(run_id=run_id)
    return changed


@transaction.atomic
def record_checks(*, run: AgentRun, has_passing_tests: bool | None, has_clean_lint: bool | None) -> None:
    """What the tests and the linter of the workspace said; None leaves what is known."""
    row = _locked(run.pk)
    if has_passing_tests is not None:
        row.has_passing_tests = has_passing_tests
    if has_clean_lint is not None:
        row.has_clean_lint = has_clean_lint
    row.quality_score = score(signals_of(row), weights_for(row.agent_run.project))
    row.save(update_fields=["has_passing_tests", "has_clean_lint", "quality_score"])


@transaction.atomic
def vote(*, run: AgentRun, user: User, value: int) -> None:
    """A person's opinion: 1 is up, -1 is down, 0 takes it back. The last word of each person counts.

    Raises `NothingToVoteOn` while the run has not ended.
    """
    try:
        row = _locked(run.pk)
    except QualityMetric.DoesNotExist:
        raise NothingToVoteOn from None
    if run.status in LIVE_STATUSES:
        raise NothingToVoteOn
    votes = RunVote.objects.filter(agent_run=run)
    if value:
        RunVote.objects.update_or_create(
            agent_run=run, user=user, defaults={"account_id": run.account_id, "value": 1 if value > 0 else -1}
        )
    else:
        votes.filter(user=user).delete()
    counts = votes.aggregate(up=Count("pk", filter=Q(value=1)), down=Count("pk", filter=Q(value=-1)))
    row.votes_up, row.votes_down = counts["up"], counts["down"]
    row.quality_score = score(signals_of(row), weights_for(row.agent_run.project))
    row.save(update_fields=["votes_up", "votes_down", "quality_score"])


@transaction.atomic
def set_weights(*, account: Account, weights: QualityWeights | None, actor: User) -> None:
    """The account's own weights, or None for those of the host. Scores that stand are changed by `rescore`."""
    locked = Account.objects.select_for_update().get(pk=account.pk)
    settings = dict(locked.settings)
    settings.pop(SETTING, None)
    if weights is not None:
        settings[SETTING] = weights.model_dump(mode="json")
    locked.settings = settings
    locked.save(update_fields=["settings"])
    record_audit_event(
        account_id=account.pk,
        actor=actor,
        action="quality.weights_set",
        object_type="account",
        object_id=account.pk,
        data={"weights": settings.get(SETTING)},
    )


def rescore(
    *, account_id: int, is_dry_run: bool = False, tell: Callable[[int, int], None] | None = None
) -> tuple[int, int]:
    """Compute all scores of an account with today's weights; gives how many rows there are and how many changed.

    Each row in a transaction of its own, so it can be broken off and said again. `tell` gets done and total.
    """
    with tenant(account_id):
        run_ids = list(QualityMetric.objects.order_by("agent_run_id").values_list("agent_run_id", flat=True))
    changed = 0
    for done, run_id in enumerate(run_ids, start=1):
        with tenant(account_id):
            changed += _would_change(run_id) if is_dry_run else refresh_quality(run_id=run_id)
        if tell is not None:
            tell(done, len(run_ids))
    return len(run_ids), changed


def weights_for(project: Project) -> QualityWeights:
    """The nearest ones that are set: of the project, of its account, of account 0, or ours."""
    return _said_in(project.settings) or weights_of(project.account_id)


def weights_of(account_id: int) -> QualityWeights:
    """Those of the account, of account 0, or ours."""
    accounts = Account.objects.filter(pk__in=(account_id, GLOBAL_ACCOUNT_ID)).order_by("-pk")
    found = (_said_in(settings) for settings in accounts.values_list("settings", flat=True))
    return next((weights for weights in found if weights is not None), QualityWeights())


def has_own_weights(of: Project | Account) -> bool:
    return _said_in(of.settings) is not None


def _said_in(settings: Mapping[str, object]) -> QualityWeights | None:
    if SETTING not in settings:
        return None
    try:
        return QualityWeights.model_validate(settings[SETTING])
    except ValidationError:
        # Settings are free JSON and may have been written by hand; a mistake there must not stop runs.
        return None


def signals_of(row: QualityMetric) -> Signals:
    return Signals(
        has_completed=row.agent_run.status == RunStatus.COMPLETED,
        has_ended=row.agent_run.status in (RunStatus.COMPLETED, RunStatus.FAILED),
        turns=row.iterations,
        is_merged=row.is_merged,
        has_passing_ci=row.has_passing_ci,
        has_passing_tests=row.has_passing_tests,
        is_approved=row.is_approved,
        has_clean_lint=row.has_clean_lint,
        votes_up=row.votes_up,
        votes_down=row.votes_down,
    )


def _locked(run_id: int) -> QualityMetric:
    rows = QualityMetric.objects.select_for_update(of=("self",)).select_related("agent_run__project")
    return rows.get(agent_run_id=run_id)


def _state_of(row: QualityMetric) -> tuple[bool | None, bool | None, bool | None, Decimal | None]:
    return row.is_merged, row.has_passing_ci, row.is_approved, row.quality_score


def _would_change(run_id: int) -> bool:
    row = QualityMetric.objects.select_related("agent_run__project").get(agent_run_id=run_id)
    return score(signals_of(row), weights_for(row.agent_run.project)) != row.quality_score
