"""A score is the weighted mean of what is known; what comes late changes it once."""

import io
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal

import pytest
from django.core.management import CommandError, call_command
from django.utils import timezone
from hypothesis import given
from hypothesis import strategies as st

from agent_runs.models import RunStatus
from metrics.errors import NothingToVoteOn
from metrics.models import QualityMetric, RunVote
from metrics.quality.operations import (
    begin_quality,
    record_checks,
    set_weights,
    take_late_signals,
    vote,
    weights_for,
)
from metrics.quality.score import QualityWeights, Signals, parts, score
from paid.lib.tenancy import platform, tenant
from projects.models import Project, PullRequest
from tests.factories.accounts import UserFactory, account_with_owner
from tests.factories.agent_runs import AgentRunFactory, finished_run
from tests.factories.projects import ProjectFactory, PullRequestFactory


def test_only_what_is_known_counts() -> None:
    weights = QualityWeights()
    assert score(Signals(has_completed=True, turns=0), weights) == 1
    assert score(Signals(has_completed=True, turns=20), weights) == Decimal("0.50000")
    # (4 x 1 + 2 x 0 + 0.5 x 0.5) / 6.5
    merged = Signals(has_completed=True, turns=20, is_merged=True, has_passing_ci=False)
    assert score(merged, weights) == Decimal("0.65385")
    # (2 x 3/4 + 0.5 x 0.5) / 2.5
    assert score(Signals(has_completed=True, turns=20, votes_up=3, votes_down=1), weights) == Decimal("0.70000")
    assert [part.name for part in parts(merged, weights)] == ["Merged", "CI", "Turns"]


def test_a_run_that_did_not_complete_is_worth_nothing() -> None:
    assert score(Signals(has_completed=False, turns=1, votes_up=5), QualityWeights()) == 0


def test_a_run_that_goes_on_or_was_stopped_has_no_score() -> None:
    assert score(Signals(has_completed=False, has_ended=False, turns=1), QualityWeights()) is None


def test_a_signal_without_weight_is_left_out() -> None:
    weights = QualityWeights(merged=Decimal(0), turns=Decimal(0))
    assert parts(Signals(has_completed=True, turns=3, is_merged=True), weights) == []
    assert score(Signals(has_completed=True, turns=3, is_merged=True), weights) == 0


known = st.none() | st.booleans()
weight = st.decimals(0, 1000, places=3)


@given(
    signals=st.builds(
        Signals,
        has_completed=st.booleans(),
        turns=st.integers(0, 10**6),
        is_merged=known,
        has_passing_ci=known,
        has_passing_tests=known,
        is_approved=known,
        has_clean_lint=known,
        votes_up=st.integers(0, 10**6),
        votes_down=st.integers(0, 10**6),
    ),
    weights=st.builds(QualityWeights, merged=weight, ci=weight, tests=weight, review=weight, votes=weight),
)
def test_every_score_fits_its_column(signals: Signals, weights: QualityWeights) -> None:
    found = score(signals, weights)
    assert found is not None
    assert 0 <= found <= 1
    assert found == found.quantize(Decimal("0.00001"))


@pytest.fixture
def account():
    return account_with_owner()[0]


@pytest.fixture
def run(account):
    project = ProjectFactory(account=account)
    made = finished_run(project=project, iterations=20, pull_request=PullRequestFactory(project=project))
    with tenant(account.pk):
        begin_quality(run=made)
    return made


def row_of(run) -> QualityMetric:
    with platform():
        return QualityMetric.objects.get(agent_run=run)


@pytest.mark.django_db
def test_a_merge_that_comes_late_changes_the_score_once(run):
    before = row_of(run)
    assert (before.is_merged, before.quality_score) == (None, Decimal("0.50000"))
    with platform():
        PullRequest.objects.filter(pk=run.pull_request_id).update(
            state="merged", merged_at=timezone.now(), checks_state="success", review_state="approved"
        )
    assert take_late_signals() == 1
    after = row_of(run)
    assert (after.is_merged, after.has_passing_ci, after.is_approved) == (True, True, True)
    # (4 + 2 + 2 + 0.25) / 8.5
    assert after.quality_score == Decimal("0.97059")
    assert take_late_signals() == 0
    assert row_of(run).updated_at == after.updated_at


@pytest.mark.django_db
def test_a_pull_request_that_opens_again_is_not_closed_any_more(run):
    with platform():
        PullRequest.objects.filter(pk=run.pull_request_id).update(state="closed", closed_at=timezone.now())
    take_late_signals()
    assert row_of(run).is_merged is False
    with platform():
        PullRequest.objects.filter(pk=run.pull_request_id).update(state="open", closed_at=None)
    take_late_signals()
    assert (row_of(run).is_merged, row_of(run).quality_score) == (None, Decimal("0.50000"))


@pytest.mark.django_db
def test_what_was_missed_for_long_is_found_by_the_daily_look(run):
    with platform():
        PullRequest.objects.filter(pk=run.pull_request_id).update(state="merged", merged_at=timezone.now())
    assert take_late_signals(since=timezone.now() + timedelta(days=1)) == 0
    assert take_late_signals(since=datetime(2000, 1, 1, tzinfo=UTC)) == 1


@pytest.mark.django_db
def test_the_last_word_of_each_person_counts(run, account):
    ada, eve = UserFactory(), UserFactory()
    with tenant(account.pk):
        for user, value in ((ada, 1), (eve, 1), (eve, -1), (ada, 1)):
            vote(run=run, user=user, value=value)
    assert (row_of(run).votes_up, row_of(run).votes_down) == (1, 1)
    with tenant(account.pk):
        vote(run=run, user=eve, value=0)
    assert (row_of(run).votes_up, row_of(run).votes_down) == (1, 0)
    # (2 x 1 + 0.25) / 2.5
    assert row_of(run).quality_score == Decimal("0.90000")


@pytest.mark.django_db
def test_nobody_votes_on_a_run_that_goes_on(account):
    going_on = finished_run(project=ProjectFactory(account=account))
    with tenant(account.pk):
        with pytest.raises(NothingToVoteOn):
            vote(run=going_on, user=UserFactory(), value=1)
        assert RunVote.objects.count() == 0


@pytest.mark.django_db
def test_checks_of_the_workspace_count(run, account):
    with tenant(account.pk):
        record_checks(run=run, has_passing_tests=True, has_clean_lint=None)
        record_checks(run=run, has_passing_tests=None, has_clean_lint=False)
    row = row_of(run)
    assert (row.has_passing_tests, row.has_clean_lint) == (True, False)
    # (2 x 1 + 1 x 0 + 0.25) / 3.5
    assert row.quality_score == Decimal("0.64286")


@pytest.mark.django_db
def test_the_nearest_weights_count(account):
    owner = UserFactory()
    project = ProjectFactory(account=account)
    with tenant(account.pk):
        assert weights_for(project) == QualityWeights()
        set_weights(account=account, weights=QualityWeights(merged=Decimal(9)), actor=owner)
        assert weights_for(project).merged == 9
        Project.objects.filter(pk=project.pk).update(settings={"quality_weights": {"merged": "7"}})
        project.refresh_from_db()
        assert weights_for(project).merged == 7
        Project.objects.filter(pk=project.pk).update(settings={"quality_weights": {"merged": "very much"}})
        project.refresh_from_db()
        assert weights_for(project).merged == 9
        set_weights(account=account, weights=None, actor=owner)
        assert weights_for(project) == QualityWeights()


@pytest.mark.django_db
def test_rescore_says_what_would_change_and_changes_it_once(run, account):
    with platform():
        QualityMetric.objects.filter(agent_run=run).update(quality_score=None)

    def command(*arguments: str) -> dict[str, object]:
        out = io.StringIO()
        call_command("rescore", account.slug, "--json", *arguments, stdout=out)
        return dict(json.loads(out.getvalue()))

    assert command("--dry-run") == {"runs": 1, "changed": 1, "dry_run": True}
    assert row_of(run).quality_score is None
    assert command()["changed"] == 1
    assert row_of(run).quality_score == Decimal("0.50000")
    assert command()["changed"] == 0
    with pytest.raises(CommandError, match="no account with the slug"):
        call_command("rescore", "nobody")


@pytest.mark.django_db
def test_a_failed_run_is_worth_nothing(account):
    failed = finished_run(project=ProjectFactory(account=account), status=RunStatus.FAILED)
    with tenant(account.pk):
        begin_quality(run=failed)
    assert row_of(failed).quality_score == 0


@pytest.mark.django_db
@pytest.mark.parametrize("status", [RunStatus.PUBLISHING, RunStatus.STOPPED])
def test_checks_of_a_run_that_does_not_complete_give_no_score(account, status):
    project = ProjectFactory(account=account)
    run = (
        AgentRunFactory(project=project, status=status)
        if status == RunStatus.PUBLISHING
        else finished_run(project=project, status=status)
    )
    with tenant(account.pk):
        begin_quality(run=run)
        record_checks(run=run, has_passing_tests=True, has_clean_lint=None)
    assert (row_of(run).has_passing_tests, row_of(run).quality_score) == (True, None)
    if status == RunStatus.PUBLISHING:
        with tenant(account.pk), pytest.raises(NothingToVoteOn):
            vote(run=run, user=UserFactory(), value=1)
