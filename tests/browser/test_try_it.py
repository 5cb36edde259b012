"""The first five minutes in a real browser: the sample run from the first page to a merged pull request.

Nothing is played but the model: workers, sandbox, gateway, Claude Code and git are the real ones. That the fix is
on `main`, and that the sample's tests pass there, is asked of git and of the tests themselves.
"""

import re
import subprocess
import sys
from pathlib import Path

import pytest
from playwright.sync_api import expect

from agent_runs.models import AgentRun
from paid.lib.git import git_text
from paid.lib.tenancy import platform
from projects.repositories import local_repository
from tests.browser.conftest import Visit
from tests.factories import account_with_owner
from tests.metrics.conftest import GatewayServer, gateway, model_server, start_gateway
from tests.workflows.conftest import house
from tests.workflows.house import House

__all__ = ["gateway", "house", "model_server", "start_gateway"]

pytestmark = [pytest.mark.django_db(transaction=True)]

MONEY = re.compile(r"\$0\.0*[1-9]")
END_MILLISECONDS = 300_000


def passing_tests(repository: Path, branch: str, into: Path) -> str:
    """What the sample's tests say of a fresh clone of `branch`."""
    subprocess.run(["git", "clone", "--quiet", "--branch", branch, repository, into], check=True)
    tests = [sys.executable, "-m", "unittest", "discover", "--start-directory", "tests", "--top-level-directory", "."]
    return subprocess.run(tests, cwd=into, capture_output=True, text=True, check=False).stderr.splitlines()[-1]


def test_the_sample_run_goes_from_the_first_page_to_main(
    house: House, gateway: GatewayServer, visit: Visit, tmp_path: Path
):
    _, owner = account_with_owner()
    # Slow enough for a person to watch: the page is open before the first line is there.
    gateway.upstream.model.delay_seconds = 0.05
    page = visit.page
    visit.sign_in(owner.email)

    page.get_by_role("button", name="Start the sample run").click()
    page.wait_for_url(re.compile(r"/runs/\d+/$"))
    page.evaluate("window.isSamePage = true")
    lines_at_first = page.locator(".log-line").count()
    expect(page.locator("#run-meter")).to_contain_text(MONEY, timeout=END_MILLISECONDS)
    expect(page.locator("#run-head")).to_contain_text("Completed", timeout=END_MILLISECONDS)
    expect(page.locator("#run-outcome")).to_contain_text("What the agent says it did")
    expect(page.locator("#run-diff")).to_contain_text("textkit/slug.py")
    assert page.locator(".log-line").count() > lines_at_first + 10
    assert page.evaluate("window.isSamePage") is True

    with platform():
        run = AgentRun.objects.select_related("project").get()
    repository = local_repository(run.project)
    assert git_text(repository, "rev-parse", "main") == run.base_sha
    assert "FAILED" in passing_tests(repository, "main", tmp_path / "before")

    page.get_by_role("link", name="Review pull request").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("#")
    page.get_by_role("link", name="Merge", exact=True).click()
    page.get_by_role("dialog").get_by_role("button", name="Merge").click()
    expect(page.locator(".head-line")).to_contain_text("Merged")
    expect(page.get_by_role("link", name="Merge", exact=True)).to_have_count(0)

    assert git_text(repository, "merge-base", "--is-ancestor", run.head_sha, "main") == ""
    assert git_text(repository, "diff", "--name-only", run.base_sha, "main") == "textkit/slug.py"
    assert passing_tests(repository, "main", tmp_path / "after") == "OK"
    assert visit.complaints == []
