"""Rows that are over go, and nothing else does."""

import json
from datetime import timedelta
from io import StringIO

import pytest
from django.core.management import call_command
from django.utils import timezone

from paid import retention
from paid.lib.tenancy import platform
from tests.factories.workflows import OutboxCommandFactory, RunRequestFactory, WorkflowStateFactory
from workflows.models import OutboxCommand, WorkflowState, WorkflowStatus

pytestmark = pytest.mark.django_db
LONG_AGO = timezone.now() - timedelta(days=31)


@pytest.fixture
def kept() -> tuple[int, int]:
    """A command and a workflow that are over, and two of each that are not; gives the latest pair."""
    OutboxCommandFactory(delivered_at=LONG_AGO)
    OutboxCommandFactory(created_at=LONG_AGO, available_at=LONG_AGO)
    WorkflowStateFactory(status=WorkflowStatus.COMPLETED, finished_at=LONG_AGO)
    WorkflowStateFactory(started_at=LONG_AGO)
    RunRequestFactory(created_at=LONG_AGO)
    RunRequestFactory()
    command = OutboxCommandFactory(delivered_at=timezone.now())
    state = WorkflowStateFactory(status=WorkflowStatus.COMPLETED, finished_at=timezone.now())
    return command.pk, state.pk


def report(*arguments: str) -> dict[str, int]:
    out = StringIO()
    call_command("retention", "--json", *arguments, stdout=out)
    rows: dict[str, int] = json.loads(out.getvalue())["rows"]
    return rows


def test_a_dry_run_counts_and_deletes_nothing(kept: tuple[int, int]):
    assert report("--dry-run") == {
        "outbox": 1,
        "workflow_states": 1,
        "webhook_deliveries": 0,
        "run_requests": 1,
        "django_session": 0,
    }
    with platform():
        assert (OutboxCommand.objects.count(), WorkflowState.objects.count()) == (3, 3)


def test_it_forgets_what_is_over_and_keeps_what_is_undelivered_or_running(kept: tuple[int, int]):
    deleted = report()

    assert (deleted["outbox"], deleted["workflow_states"], deleted["run_requests"]) == (1, 1, 1)
    with platform():
        assert OutboxCommand.objects.filter(delivered_at__isnull=True).count() == 1
        assert OutboxCommand.objects.filter(pk=kept[0]).exists()
        assert WorkflowState.objects.filter(status=WorkflowStatus.RUNNING).count() == 1
        assert WorkflowState.objects.filter(pk=kept[1]).exists()
    assert sum(report().values()) == 0


def test_it_goes_on_until_nothing_is_left(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(retention, "BATCH", 2)
    OutboxCommandFactory.create_batch(5, delivered_at=LONG_AGO)

    assert report()["outbox"] == 5
