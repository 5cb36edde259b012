"""The page of an experiment in a real browser: charts from the tables, and the tables alone without JavaScript."""

from playwright.sync_api import Browser, expect

from metrics.experiments.operations import look_at_experiment
from paid.lib.tenancy import tenant
from prompts.models import AbTest
from tests.browser.conftest import Visit, patient_context
from tests.dashboard.experimenting import populate, running_experiment
from tests.dashboard.world import World


def read(world: World) -> AbTest:
    test = running_experiment(world)
    populate(world, test, 60, {"test first": 0.3})
    with tenant(world.account.pk):
        look_at_experiment(test=test)
    return test


def test_the_charts_are_drawn_and_a_person_ends_it_in_a_dialog(world: World, visit: Visit):
    test = read(world)
    visit.sign_in("alice@example.com")
    visit.open(f"/a/northwind/experiments/{test.pk}/")
    drawn = visit.page.evaluate("Object.values(Chart.instances).map((chart) => chart.data.datasets.length)")
    visit.page.get_by_role("link", name="Decide and end").click()
    dialog = visit.page.get_by_role("dialog")
    dialog.get_by_label("From now on").select_option(label="Promote “test first” (v2)")
    dialog.get_by_label("Reason").fill("It is clear enough.")
    dialog.get_by_role("button", name="End it").click()

    expect(visit.page.get_by_role("heading", name="“test first” was promoted")).to_be_visible()
    expect(visit.page.get_by_text("It is clear enough.").first).to_be_visible()
    assert drawn == [3, 3, 3]
    assert visit.complaints == []


def test_without_javascript_the_tables_say_it(site: str, world: World, browser: Browser):
    test = read(world)
    context = patient_context(browser, java_script_enabled=False)
    visit = Visit(site, context.new_page())
    visit.sign_in("vera@example.com")
    visit.open(f"/a/northwind/experiments/{test.pk}/")
    visit.page.get_by_text("Show as a table").first.click()
    is_shown = visit.page.locator("[data-interval-chart] tbody tr").first.is_visible()
    canvases = visit.page.locator("canvas:visible").count()
    context.close()

    assert (is_shown, canvases) == (True, 0)
