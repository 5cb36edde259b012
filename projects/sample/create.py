"""Make the sample project in an account, and give it an issue that an agent can solve."""

import shutil
from pathlib import Path

from django.db import transaction

from accounts.models import Account
from paid.lib.git import git, git_text
from projects.forges.local import next_number
from projects.models import ForgeKind, Issue, IssueState, Project
from projects.repositories import local_repository

OWNER, REPOSITORY, BRANCH = "sample", "textkit", "main"
SETTINGS = {"is_demo": True, "test_command": "python3 -m unittest"}
_FILES = Path(__file__).parent / "repository"
_ISSUE = Path(__file__).parent / "issue.md"
# The same files make the same commit everywhere.
_FIRST_COMMIT = {
    "GIT_AUTHOR_NAME": "Sample",
    "GIT_AUTHOR_EMAIL": "sample@paid.invalid",
    "GIT_AUTHOR_DATE": "2026-01-01T00:00:00Z",
    "GIT_COMMITTER_NAME": "Sample",
    "GIT_COMMITTER_EMAIL": "sample@paid.invalid",
    "GIT_COMMITTER_DATE": "2026-01-01T00:00:00Z",
}


@transaction.atomic
def create_sample_project(*, account: Account) -> Project:
    """The account's sample project, with its repository on this machine. Call it inside of `tenant()`, as often as
    you like: the project is made once, and a repository that was lost is made anew.
    """
    project, _ = Project.objects.get_or_create(
        account=account,
        forge=ForgeKind.LOCAL,
        owner=OWNER,
        repo=REPOSITORY,
        defaults={"name": "Sample: textkit", "default_branch": BRANCH, "settings": SETTINGS},
    )
    # Two callers at once make one repository: the second waits here and finds it.
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    _make_repository(local_repository(project))
    sample_issue(project=project)
    return project


@transaction.atomic
def sample_issue(*, project: Project) -> Issue:
    """The open issue of the sample project, made anew when the last one was closed."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    title, _, body = _ISSUE.read_text(encoding="utf-8").partition("\n")
    found = Issue.objects.filter(project=project, title=title, state=IssueState.OPEN).order_by("number").first()
    return found or Issue.objects.create(
        account_id=project.account_id,
        project=project,
        number=next_number(project),
        title=title,
        body=body.strip(),
        author="sample",
    )


def _make_repository(repository: Path) -> None:
    if repository.is_dir():
        return
    unfinished = repository.with_name(f".{repository.name}.new")
    shutil.rmtree(unfinished, ignore_errors=True)
    unfinished.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    git(unfinished, ["init", "--quiet", "--bare", "--template=", f"--initial-branch={BRANCH}", str(unfinished)])
    git(unfinished, [f"--work-tree={_FILES}", "add", "--all", "--", str(_FILES)])
    tree = git_text(unfinished, "write-tree")
    message = b"A small package with a failing test\n"
    commit = git(unfinished, ["commit-tree", tree, "-F", "-"], environment=_FIRST_COMMIT, stdin=message)
    git(unfinished, ["update-ref", f"refs/heads/{BRANCH}", commit.decode().strip()])
    unfinished.rename(repository)
