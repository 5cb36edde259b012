"""The sample project: a real repository whose test fails for the reason that its issue gives."""

import subprocess
import sys
from pathlib import Path

import pytest

from paid.lib.git import git_text
from paid.lib.tenancy import tenant
from projects.forges.local_repository import repository_path
from projects.models import Issue, Project
from projects.sample import open_sample_issue
from tests.factories.accounts import AccountFactory


@pytest.fixture(autouse=True)
def repositories(settings, tmp_path: Path) -> Path:
    settings.REPOSITORIES_DIR = tmp_path / "repositories"
    return tmp_path / "repositories"


@pytest.mark.django_db
def test_each_trial_has_an_issue_of_its_own_in_one_project():
    account = AccountFactory()
    with tenant(account.pk):
        first, second = open_sample_issue(account=account), open_sample_issue(account=account)
        assert (first.number, second.number) == (1, 2)
        assert Project.objects.count() == 1
        assert Project.objects.get().settings == {"is_demo": True}
        assert git_text(repository_path(first.project), "rev-list", "--count", "main") == "1"


@pytest.mark.django_db
def test_exactly_the_test_that_the_issue_names_fails(tmp_path: Path):
    account = AccountFactory()
    with tenant(account.pk):
        issue = open_sample_issue(account=account)
    checkout = tmp_path / "checkout"
    subprocess.run(["git", "clone", "-q", str(repository_path(issue.project)), str(checkout)], check=True)
    tests = subprocess.run(
        [sys.executable, "-m", "unittest", "-v"], cwd=checkout, capture_output=True, text=True, check=False
    )
    assert tests.returncode == 1
    failed = [line.split()[0] for line in tests.stderr.splitlines() if line.endswith("... FAIL")]
    assert failed == ["test_two_spaces_are_one_dash"]
    assert "test_two_spaces_are_one_dash" in issue.body


@pytest.mark.django_db
def test_another_tenant_sees_nothing_of_it():
    alice, mallory = AccountFactory(), AccountFactory()
    with tenant(alice.pk):
        open_sample_issue(account=alice)
    with tenant(mallory.pk):
        assert (Project.objects.count(), Issue.objects.count()) == (0, 0)
