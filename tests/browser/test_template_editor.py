"""The editor of templates in a real browser: colours behind a field that stays a field."""

from playwright.sync_api import expect

from dashboard.template_colours import pieces
from tests.browser.conftest import PHONE, Visit
from tests.dashboard.world import SECOND_TEMPLATE, World

ADDED = "{# no #}{% if issue.titel %}{{ project.name|upper }} is a long line that a narrow window breaks{% endif %}"


def test_colours_follow_what_is_typed_and_undone_and_the_check_underlines(world: World, visit: Visit):
    visit.sign_in("bob@example.com")
    visit.page.set_viewport_size(PHONE)
    visit.open(f"/a/northwind/prompts/{world.prompt.pk}/edit")
    field, paper = visit.page.get_by_label("Template"), visit.page.locator(".editor-paper").first
    field.press("Control+End")
    visit.page.keyboard.insert_text(f"\n{ADDED}")

    expect(paper.locator(".tpl-unknown")).to_have_text("issue.titel")
    expect(paper.locator(".is-wrong")).to_have_count(1)
    drawn = (
        paper.locator(".editor-line")
        .last.locator("span")
        .evaluate_all("spans => spans.map((span) => [span.classList[0].slice(4), span.textContent])")
    )
    assert drawn == [[kind, text] for kind, text in pieces(ADDED) if kind and text]
    heights = field.evaluate("field => [field.scrollHeight, field.scrollTop, field.clientWidth]")
    assert heights == paper.evaluate("paper => [paper.scrollHeight, paper.scrollTop, paper.clientWidth]")

    field.press("Control+z")
    expect(field).to_have_value(SECOND_TEMPLATE)
    expect(paper.locator(".tpl-unknown")).to_have_count(0)
    expect(paper.locator(".editor-line")).to_have_count(SECOND_TEMPLATE.count("\n") + 1)
    field.press("Tab")
    expect(visit.page.get_by_label("System prompt")).to_be_focused()
    assert visit.complaints == []
