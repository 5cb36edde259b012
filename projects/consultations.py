"""Where an account's questions to a model are kept that belong to no repository: each is an issue that is closed."""

from django.db import transaction

from accounts.models import Account
from projects.forges.local import next_number
from projects.models import ForgeKind, Issue, IssueState, Project

OWNER, REPOSITORY = "paid", "consultations"


@transaction.atomic
def consultations_of(account: Account) -> Project:
    """The account's project for consultations, made at the first call. It has no repository and starts no runs of an
    agent; budgets may be set on it like on any other. Call it inside of `tenant()`.
    """
    project, _ = Project.objects.get_or_create(
        account=account,
        forge=ForgeKind.LOCAL,
        owner=OWNER,
        repo=REPOSITORY,
        defaults={"name": "Paid: questions to models", "is_active": False},
    )
    return project


@transaction.atomic
def open_consultation(*, project: Project, title: str, body: str) -> Issue:
    """What is asked, as an issue. Closed, so that nobody starts an agent on it."""
    Project.objects.select_for_update(no_key=True).get(pk=project.pk)
    return Issue.objects.create(
        account_id=project.account_id,
        project=project,
        number=next_number(project),
        title=title,
        body=body,
        author="Paid",
        state=IssueState.CLOSED,
    )
