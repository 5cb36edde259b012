"""The words of a publication."""

import pytest

from agent_runs.models import AgentRun
from paid.lib.tenancy import platform
from projects.forges.base import ForgeIssue
from prompts.context import context_for
from prompts.rendering import render_prompt
from tests.factories.agent_runs import AgentRunFactory
from workflows.publication import was_edited

TEMPLATE = "Do #{{ issue.number }} {{ issue.title }}.{% if issue.body %} {{ issue.body }}{% endif %}"
BODY = "\r\nIt adds twice.\r\n\r\n<b>Look!</b>\n"


def run_of(title: str, body: str, template: str = TEMPLATE) -> AgentRun:
    run: AgentRun = AgentRunFactory(
        issue__title=title, issue__body=body, prompt_version__template=template, prompt_text=""
    )
    with platform():
        context = context_for(project=run.project, issue=run.issue)
    run.prompt_text = render_prompt(template=template, context=context).prompt
    return run


def told(title: str, body: str) -> ForgeIssue:
    return ForgeIssue(number=1, title=title, body=body, state="open", labels=("paid",), url="")


@pytest.mark.django_db
@pytest.mark.parametrize(
    ("title", "body", "expected"),
    [
        ("The till", BODY, False), ("The till", BODY + "Mend it.", True), ("The tills", BODY, True),
        ("The till", "", True),
    ],
)  # fmt: skip
def test_an_edit_is_seen_by_what_the_agent_was_given(title: str, body: str, expected: bool):
    assert was_edited(run_of("The till", BODY), told(title, body)) is expected


@pytest.mark.django_db
def test_a_text_that_was_added_to_an_empty_issue_is_an_edit():
    assert was_edited(run_of("The till", ""), told("The till", "")) is False
    assert was_edited(run_of("The till", ""), told("The till", "It adds twice.")) is True


@pytest.mark.django_db
def test_a_prompt_that_quotes_nothing_of_the_issue_was_made_from_no_older_text():
    run = run_of("The till", BODY, "Do #{{ issue.number }}.")
    assert was_edited(run, told("Another title", "")) is False
