"""Runs on the stand-in's repository, and what a member of the account reads of them on the page and in the log."""

from collections.abc import Callable
from html import unescape

from django.test import Client

from agent_runs.models import AgentRun, RunStep
from paid.lib.tenancy import platform, tenant
from projects.models import Project
from prompts.models import LanguageModel
from tests.agent_runs.processes import wait_until
from tests.factories.accounts import MembershipFactory, UserFactory
from tests.factories.projects import IssueFactory
from tests.standins.github.state import Issue
from tests.workflows.house import House, has_ended
from workflows.operations import start_run

END_SECONDS = 300


def begin(project: Project, issue: Issue, *, model: str = "") -> AgentRun:
    """A person starts a run of the issue, as the forge shows it now."""
    row = IssueFactory(project=project, number=issue.number, title=issue.title, body=issue.body)
    with tenant(project.account_id):
        chosen = LanguageModel.objects.get(model_id=model) if model else None
        return start_run(project=project, issue=row, actor=None, model=chosen)


def read(run: AgentRun) -> AgentRun:
    with platform():
        return AgentRun.objects.select_related("project__account", "issue").get(pk=run.pk)


def until(holds: Callable[[], bool], house: House) -> None:
    try:
        wait_until(holds, END_SECONDS)
    except AssertionError as error:
        raise AssertionError(house.logs()) from error


def ended(run: AgentRun, house: House) -> AgentRun:
    until(lambda: has_ended(run.pk), house)
    return read(run)


def is_at(run: AgentRun, step: str, *, attempt: int = 1) -> bool:
    with platform():
        return RunStep.objects.filter(agent_run=run, name=step, attempt__gte=attempt).exists()


def detail(run: AgentRun, step: str) -> str:
    with platform():
        return RunStep.objects.get(agent_run=run, name=step).detail


def page_and_log(run: AgentRun) -> tuple[str, str]:
    """The run's page and the file of its log, as a member sees them."""
    account = read(run).project.account
    user = UserFactory()
    MembershipFactory(account=account, user=user)
    client = Client()
    with platform():
        client.force_login(user)
    address = f"/a/{account.slug}/runs/{run.pk}/"
    page, log = client.get(address, secure=True), client.get(f"{address}log.txt", secure=True)
    assert (page.status_code, log.status_code) == (200, 200)
    return unescape(page.content.decode()), b"".join(log).decode()
