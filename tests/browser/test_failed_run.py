"""A run that failed, as a person meets it: what happened, what to do, and the way there, wide and on a phone."""

import os

import pytest
from playwright.sync_api import Browser, expect

from agent_runs.models import AgentRun, RunStatus, StepName, StepStatus
from paid.lib.tenancy import platform
from tests.browser.conftest import PHONE, WIDE, Visit, patient_context
from tests.dashboard.world import World
from tests.factories.agent_runs import RunStepFactory

ERRORS = {
    "budget_too_small": ("Raise the budget", "The money for this run does not pay for a single call to its model."),
    "token_refused": ("GitHub tokens", "GitHub refused the token: it is wrong, expired or revoked."),
    "repository_empty": ("Open the project", "The repository has no commit yet, so there is nothing to branch from."),
    "sandbox_failed": ("Retry the run", "This host could not make the sandbox, and Paid runs no agent without one."),
}


def fail(run: AgentRun, code: str, words: str) -> None:
    with platform():
        AgentRun.objects.filter(pk=run.pk).update(error_code=code, error=words)


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_failure_says_what_happened_and_what_to_do(site: str, world: World, browser: Browser, viewport):
    context = patient_context(browser, viewport=viewport)
    visit = Visit(site, context.new_page())
    run = world.failed_run
    RunStepFactory(agent_run=run, name=StepName.AGENT, status=StepStatus.FAILED)
    visit.sign_in("alice@example.com")
    for code, (remedy, words) in ERRORS.items():
        fail(run, code, words)
        visit.open(f"/a/northwind/runs/{run.pk}/")
        outcome = visit.page.get_by_role("region", name="The agent did not get to its end")
        expect(outcome).to_contain_text(code)
        expect(outcome).to_contain_text(words)
        expect(outcome.get_by_role("button", name="Retry the run")).to_be_visible()
        expect(outcome.get_by_text(remedy)).to_be_visible()
        assert visit.overflow_pixels() <= 0
        if directory := os.environ.get("PAID_SCREENSHOTS"):
            visit.page.screenshot(path=f"{directory}/failed-{code}-{viewport['width']}.png")
    expect(visit.page.get_by_text("manage.py doctor")).to_be_visible()
    expect(visit.page.get_by_text("There is no log: the agent printed nothing")).to_be_visible()
    context.close()
    assert visit.complaints == []
    assert run.status == RunStatus.FAILED
