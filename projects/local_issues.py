"""Writes on the issues of this machine's own forge."""

from django.db import transaction

from accounts.models import User
from projects.forges.local import next_number
from projects.models import Issue, Project


@transaction.atomic
def write_issue(*, project: Project, title: str, body: str, author: User) -> Issue:
    """A new issue with the next number of the project's sequence."""
    # The project's row is the turnstile for numbers.
    Project.objects.select_for_update(no_key=True).get(account_id=project.account_id, pk=project.pk)
    return Issue.objects.create(
        account_id=project.account_id,
        project=project,
        number=next_number(project),
        title=title,
        body=body,
        author=str(author),
    )
