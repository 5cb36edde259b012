"""The pages in a real browser, wide and on a phone: they fit, and the browser has nothing to complain about."""

import pytest
from playwright.sync_api import Browser, expect

from agent_runs.live import wake
from agent_runs.models import AgentRun, LogKind, RunStatus
from paid.lib.tenancy import platform
from tests.browser.conftest import PHONE, WIDE, Visit, patient_context
from tests.dashboard.addresses import posted_only, tenant_addresses
from tests.dashboard.world import World
from tests.factories.agent_runs import AgentRunLogFactory

NOT_PAGES = {"run_log_stream", "run_log_file", "costs_file", "prompt_file"}


@pytest.mark.parametrize(("viewport", "scheme"), [(WIDE, "light"), (PHONE, "dark")], ids=["wide", "phone"])
def test_every_page_fits_and_breaks_no_rule_of_the_browser(site: str, world: World, browser: Browser, viewport, scheme):
    context = patient_context(browser, viewport=viewport, color_scheme=scheme)
    visit = Visit(site, context.new_page())
    visit.sign_in("alice@example.com")
    pages = {
        name: address for name, address in tenant_addresses(world).items() if name not in NOT_PAGES | posted_only()
    }
    too_wide = {}
    for name, address in pages.items():
        visit.open(address)
        too_wide[name] = visit.overflow_pixels()
    theme = visit.page.evaluate("document.documentElement.dataset.bsTheme")
    context.close()

    assert len(pages) >= 20
    assert {name: pixels for name, pixels in too_wide.items() if pixels > 0} == {}
    assert visit.complaints == []
    assert theme == scheme


def test_a_wrong_password_is_told_beside_the_form(world: World, visit: Visit):
    visit.open("/sign-in/")
    visit.page.get_by_label("E-mail").fill("alice@example.com")
    visit.page.get_by_label("Password").fill("not the password")
    visit.page.get_by_role("button", name="Sign in").click()

    expect(visit.page.get_by_role("alert")).to_contain_text("This e-mail and password do not match.")
    expect(visit.page.get_by_label("E-mail")).to_have_value("alice@example.com")


def test_a_new_account_is_offered_two_doors(world: World, visit: Visit):
    visit.sign_in("charlie@example.com")

    expect(visit.page.get_by_role("button", name="Start the sample run")).to_be_visible()
    expect(visit.page.get_by_role("link", name="Connect GitHub")).to_be_visible()


def test_the_theme_is_kept_over_pages(world: World, visit: Visit):
    visit.sign_in("alice@example.com")
    visit.page.get_by_role("button", name="Switch between light and dark").click()
    visit.open("/a/northwind/runs/")

    assert visit.page.evaluate("document.documentElement.dataset.bsTheme") == "dark"
    assert visit.complaints == []


def test_a_live_run_shows_new_lines_cost_and_its_end_without_a_reload(world: World, visit: Visit):
    visit.sign_in("bob@example.com")
    visit.open(f"/a/northwind/runs/{world.live_run.pk}/")
    expect(visit.page.get_by_text("Waiting for the first line…")).to_be_visible()
    visit.page.evaluate("window.isSamePage = true")

    AgentRunLogFactory(run=world.live_run, seq=1, kind=LogKind.EVENT, content="I read the issue.")
    wake(world.live_run.pk)
    expect(visit.page.locator("#L1")).to_contain_text("I read the issue.")

    visit.page.get_by_role("button", name="Pause").click()
    AgentRunLogFactory(run=world.live_run, seq=2, kind=LogKind.EVENT, content="I write a test.")
    with platform():
        AgentRun.objects.filter(pk=world.live_run.pk).update(cost_usd="0.042")
    wake(world.live_run.pk)
    expect(visit.page.locator("#run-meter")).to_contain_text("$0.042")
    expect(visit.page.get_by_text("Paused: 1 new")).to_be_visible()
    expect(visit.page.locator("#L2")).to_have_count(0)
    visit.page.get_by_text("Paused: 1 new").click()
    expect(visit.page.locator("#L2")).to_contain_text("I write a test.")

    with platform():
        AgentRun.objects.filter(pk=world.live_run.pk).update(
            status=RunStatus.FAILED, error="The model answered nothing.", finished_at=world.live_run.created_at
        )
    wake(world.live_run.pk)
    expect(visit.page.locator("#run-head")).to_contain_text("Failed")
    expect(visit.page.locator("#run-outcome")).to_contain_text("The model answered nothing.")
    assert visit.page.evaluate("window.isSamePage") is True
    assert visit.complaints == []


def test_the_log_is_searched(world: World, visit: Visit):
    visit.sign_in("bob@example.com")
    visit.open(f"/a/northwind/runs/{world.run.pk}/")
    visit.page.get_by_label("Search the log").fill("slug")

    expect(visit.page.locator("[data-log-matches]")).to_have_text("1/5")
    expect(visit.page.locator(".log-line.is-match")).to_have_count(5)


def test_a_state_that_comes_in_leaves_the_keyboard_where_it_was(world: World, visit: Visit):
    visit.sign_in("bob@example.com")
    visit.open(f"/a/northwind/runs/{world.live_run.pk}/")
    stop = visit.page.get_by_role("link", name="Stop")
    stop.focus()
    visit.page.evaluate("""() => {
        const head = document.getElementById("run-head");
        htmx.swap(head, head.innerHTML, {swapStyle: "innerHTML"});
    }""")
    expect(stop).to_be_focused()


def test_stop_asks_in_a_dialog_that_the_keyboard_reaches(world: World, visit: Visit):
    visit.sign_in("bob@example.com")
    visit.open(f"/a/northwind/runs/{world.live_run.pk}/")
    visit.page.get_by_role("link", name="Stop").press("Enter")
    expect(visit.page.get_by_role("dialog")).to_contain_text("Stop this run?")
    visit.page.keyboard.press("Escape")
    expect(visit.page.get_by_role("dialog")).to_have_count(0)

    visit.page.get_by_role("link", name="Stop").click()
    visit.page.get_by_role("button", name="Stop the run").click()

    expect(visit.page.locator("#run-head")).to_contain_text("Stopping…")
    assert visit.complaints == []
