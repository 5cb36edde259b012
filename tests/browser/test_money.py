"""Money as a person meets it: a run that waits for a decision, and the budgets, wide and on a phone."""

import os
from decimal import Decimal

import pytest
from django.utils import timezone
from playwright.sync_api import Browser, expect

from agent_runs.models import AgentRun, RunStatus, RunStep
from metrics.models import CostBudget, UsageDaily
from paid.lib.tenancy import platform
from tests.browser.conftest import PHONE, WIDE, Visit, patient_context
from tests.dashboard.world import World
from tests.factories.metrics import BudgetAlertFactory

WORDS = "The money for this run is used up. Grant it more budget, or resume it when its budgets have room again."


def make_it_tight(world: World) -> None:
    with platform():
        AgentRun.objects.filter(pk=world.live_run.pk).update(
            status=RunStatus.PAUSED, paused_at=timezone.now(), pauses=1
        )
        RunStep.objects.filter(agent_run=world.live_run).update(status="paused", detail=WORDS)
        UsageDaily.objects.update(cost_usd=Decimal("4.25"), unpriced_calls=3)
        CostBudget.objects.create(account=world.account, project=world.project, period="month", limit_usd=Decimal(40))
        CostBudget.objects.create(account=world.account, period="run", limit_usd=Decimal(2), is_hard=False)
    BudgetAlertFactory(cost_budget=world.budget, told_at=timezone.now(), mailed_at=timezone.now())


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_paused_run_asks_and_budgets_tell(site: str, world: World, browser: Browser, viewport, scheme):
    make_it_tight(world)
    context = patient_context(browser, viewport=viewport, color_scheme=scheme)
    visit = Visit(site, context.new_page())
    visit.sign_in("alice@example.com")
    for name, path in (("run", f"runs/{world.live_run.pk}/"), ("budgets", "settings/budgets/")):
        visit.open(f"/a/northwind/{path}")
        assert visit.overflow_pixels() <= 0
        if directory := os.environ.get("PAID_SCREENSHOTS"):
            visit.page.screenshot(path=f"{directory}/{name}-{viewport['width']}-{scheme}.png", full_page=True)
    expect(visit.page.get_by_text("80 % of the budget of 5.00 USD for the day are spent")).to_be_visible()
    expect(visit.page.get_by_text("Models without a price")).to_be_visible()
    visit.open(f"/a/northwind/runs/{world.live_run.pk}/")
    waiting = visit.page.get_by_role("region", name="This run waits for a decision")
    expect(waiting).to_contain_text(WORDS)
    waiting.get_by_role("link", name="Grant more and resume").click()
    expect(visit.page.get_by_role("button", name="Grant and resume")).to_be_visible()
    context.close()
    assert visit.complaints == []
