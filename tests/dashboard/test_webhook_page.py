"""The secret of a project's webhook is shown once, to an admin, and nobody else."""

from typing import Any

import pytest
from django.test import Client

from accounts.models import AuditEvent, Role
from paid.lib.tenancy import platform
from projects.models import Project
from tests.factories import account_with_owner
from tests.factories.accounts import MembershipFactory
from tests.factories.projects import ProjectFactory

pytestmark = pytest.mark.django_db


@pytest.fixture
def project() -> Project:
    account, _ = account_with_owner(slug="acme")
    made: Project = ProjectFactory(
        account=account,
        forge="github",
        owner="acme",
        repo="shop",
        webhook_secret="old",
        poll_state={"error": "Mend me."},
    )
    return made


def signed_in(project: Project, role: Role) -> Client:
    client = Client()
    with platform():
        client.force_login(MembershipFactory(account=project.account, role=role).user)
    return client


def secret_of(project: Project) -> str:
    with platform():
        return str(Project.objects.get(pk=project.pk).webhook_secret.reveal())


def renew(client: Client, project: Project) -> Any:
    return client.post(f"/a/acme/settings/github/{project.pk}/webhook", secure=True)


def test_an_admin_gets_a_new_secret_once(project: Project):
    client = signed_in(project, Role.ADMIN)
    answer = renew(client, project)
    secret = secret_of(project)
    assert (answer.status_code, answer["Cache-Control"], len(secret)) == (200, "no-store", 43)
    assert secret in answer.content.decode()
    assert f"/webhooks/github/{project.pk}" in answer.content.decode()
    again = client.get("/a/acme/settings/github/", secure=True).content.decode()
    assert secret not in again
    assert "Mend me." in again
    with platform():
        assert AuditEvent.objects.filter(action="project.webhook_secret.renew").count() == 1


def test_nobody_else_does(project: Project):
    stranger, _ = account_with_owner()
    outsider = Client()
    with platform():
        outsider.force_login(MembershipFactory(account=stranger, role=Role.ADMIN).user)
    assert renew(signed_in(project, Role.MEMBER), project).status_code == 403
    assert renew(outsider, project).status_code == 404
    assert (
        signed_in(project, Role.ADMIN).get(f"/a/acme/settings/github/{project.pk}/webhook", secure=True).status_code
        == 405
    )
    assert secret_of(project) == "old"
