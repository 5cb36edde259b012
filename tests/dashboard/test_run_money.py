"""A run that waits for money: what the page offers to whom, and what comes of it."""

from decimal import Decimal
from http import HTTPStatus

import pytest
from django.test import Client
from django.utils import timezone

from agent_runs.models import AgentRun, RunStatus, RunStep
from metrics.models import AlertWebhook, BudgetReservation
from paid.lib.tenancy import platform
from tests.dashboard.world import World
from workflows.models import OutboxCommand

WORDS = "The money for this run is used up. Grant it more budget, or resume it."


@pytest.fixture
def paused(world: World) -> AgentRun:
    run = world.live_run
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(status=RunStatus.PAUSED, paused_at=timezone.now(), pauses=1)
        AgentRun.objects.filter(pk=run.pk).update(limits={"cost_usd": "0.5"})
        RunStep.objects.filter(agent_run=run).update(status="paused", detail=WORDS)
        BudgetReservation.objects.filter(agent_run=run).update(closed_at=timezone.now())
    return run


def address(run: AgentRun, part: str = "") -> str:
    return f"/a/northwind/runs/{run.pk}/{part}"


def state(run: AgentRun) -> tuple[str, Decimal, int]:
    with platform():
        granted = BudgetReservation.objects.get(agent_run=run).granted_usd
        return (
            AgentRun.objects.get(pk=run.pk).status,
            granted,
            OutboxCommand.objects.filter(signal="resume_run").count(),
        )


def test_each_is_offered_what_they_may_do(paused: AgentRun, alice: Client, bob: Client, vera: Client):
    pages = [client.get(address(paused)).content.decode() for client in (alice, bob, vera)]
    assert [WORDS in page for page in pages] == [True, True, True]
    assert [page.count("/grant") > 0 for page in pages] == [True, False, False]
    assert [page.count("/resume") > 0 for page in pages] == [True, True, False]
    assert "after seven days without a decision it ends" in pages[0]


def test_an_admin_grants_more_and_the_run_goes_on(paused: AgentRun, alice: Client):
    assert "Grant this run more budget?" in alice.get(address(paused, "grant")).content.decode()
    answer = alice.post(address(paused, "grant"), {"amount_usd": "2.50"}, follow=True)
    assert "The run has $2.98 more to spend." in answer.content.decode()
    assert state(paused) == (RunStatus.RUNNING, Decimal("2.5"), 1)


def test_a_member_resumes_it_once(paused: AgentRun, bob: Client):
    assert "Resume this run?" in bob.get(address(paused, "resume")).content.decode()
    assert bob.post(address(paused, "resume")).status_code == HTTPStatus.FOUND
    answer = bob.post(address(paused, "resume"), follow=True)
    assert "does not wait for a decision" in answer.content.decode()
    assert state(paused) == (RunStatus.RUNNING, Decimal(0), 1)


@pytest.mark.parametrize("amount", ["0", "-3", "nan", "", "99999"])
def test_an_amount_that_is_none_changes_nothing(paused: AgentRun, alice: Client, amount: str):
    assert alice.post(address(paused, "grant"), {"amount_usd": amount}).status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert state(paused) == (RunStatus.PAUSED, Decimal(0), 0)


def test_a_webhook_is_kept_and_its_secret_is_never_shown(world: World, alice: Client):
    page = "/a/northwind/settings/budgets/"
    refused = alice.post(f"{page}webhook", {"url": "https://127.0.0.1/x", "secret": "a-long-enough-secret"})
    assert refused.status_code == HTTPStatus.UNPROCESSABLE_ENTITY
    assert "not one that Paid may call" in refused.content.decode()
    alice.post(f"{page}webhook", {"url": "https://hooks.example.com/paid", "secret": "a-long-enough-secret"})
    shown = alice.get(page).content.decode()
    assert "https://hooks.example.com/paid" in shown
    assert "a-long-enough-secret" not in shown
    alice.post(f"{page}webhook/remove")
    with platform():
        assert AlertWebhook.objects.count() == 0
