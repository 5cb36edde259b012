"""Making the sample project, and one more issue of it."""

from pathlib import Path

from django.db import transaction
from django.db.models import Max

from accounts.models import Account
from projects.forges.local_repository import create_repository
from projects.models import ForgeKind, Issue, Project, PullRequest

REPOSITORY = Path(__file__).parent / "repository"
OWNER, REPO = "sample", "slugs"
TITLE = "Two spaces in a title become two dashes"
BODY = """`slugify("Hello  World")`, with two spaces, gives `hello--world`. It should give `hello-world`.

The test `test_two_spaces_are_one_dash` fails for that reason. Run the tests with `python3 -m unittest -v`.
"""


@transaction.atomic
def open_sample_issue(*, account: Account) -> Issue:
    """A new issue in the account's sample project, which is made when it is missing. Call inside of `tenant()`.

    Each trial gets an issue of its own, because an issue has at most one live run.
    """
    project, _ = Project.objects.get_or_create(
        account=account,
        forge=ForgeKind.LOCAL,
        owner=OWNER,
        repo=REPO,
        defaults={"name": "Sample: slugs", "settings": {"is_demo": True}, "labels": {}},
    )
    # Issues and pull requests share one sequence, as on GitHub: the row lock makes the next number ours.
    Project.objects.select_for_update().get(pk=project.pk)
    create_repository(project, _files(), "Turn titles into slugs")
    return Issue.objects.create(
        account=account, project=project, number=_next_number(project), title=TITLE, body=BODY, author="Paid"
    )


def _next_number(project: Project) -> int:
    highest = 0
    for model in (Issue, PullRequest):
        found = model.objects.filter(project=project).aggregate(highest=Max("number"))["highest"]
        highest = max(highest, found or 0)
    return highest + 1


def _files() -> dict[str, str]:
    paths = (path for path in REPOSITORY.rglob("*") if path.is_file() and "__pycache__" not in path.parts)
    return {str(path.relative_to(REPOSITORY)): path.read_text() for path in paths}
