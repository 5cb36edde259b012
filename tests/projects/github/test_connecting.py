"""Connect GitHub: the first-run door that needs a token."""

from typing import Any

import pytest

from accounts.models import Account, AuditEvent, GithubToken, User
from paid.lib.encryption import Secret
from paid.lib.tenancy import platform, tenant
from projects.connections import NotALabel, NotARepositoryName, connect_github, parse_repository
from projects.forges.base import ForgeError, ForgeUnavailable, NotFoundOnForge
from projects.forges.github.errors import BadToken, MissingPermission, RepositoryEmpty
from projects.models import Project
from tests.factories.accounts import account_with_owner
from tests.standins.github.fixtures import TOKEN
from tests.standins.github.server import StandInGithub
from tests.standins.github.state import ALL_PERMISSIONS, Repository

pytestmark = pytest.mark.django_db


@pytest.fixture
def owner(db: None) -> tuple[Account, User]:
    return account_with_owner(slug="acme")


def connect(owner: tuple[Account, User], **fields: Any) -> Project:
    account, user = owner
    with tenant(account.pk, user.pk):
        return connect_github(account=account, actor=user, **{"token": TOKEN, "repository": "acme/shop"} | fields)


def rows_of(account: Account) -> tuple[int, int]:
    with tenant(account.pk):
        return Project.objects.count(), GithubToken.objects.count()


def test_it_makes_a_project_with_a_sealed_token(
    github: StandInGithub, repository: Repository, owner: tuple[Account, User]
):
    project = connect(owner, label="agent please")
    assert (project.owner, project.repo, project.default_branch) == ("acme", "shop", "main")
    assert project.labels == {"trigger": "agent please"}
    with tenant(owner[0].pk):
        stored = Project.objects.select_related("github_token").get()
        assert stored.github_token is not None
        assert stored.github_token.token.reveal() == TOKEN
        assert isinstance(stored.webhook_secret, Secret)
        assert len(stored.webhook_secret.reveal()) == 43
    with platform():
        assert AuditEvent.objects.get(action="project.connect").data["repository"] == "acme/shop"


def test_connecting_again_in_other_letters_is_the_same_project_token_and_secret(
    github: StandInGithub, repository: Repository, owner: tuple[Account, User]
):
    first = connect(owner)
    second = connect(owner, repository=f"{github.url}/ACME/Shop.git", label="other")
    with tenant(owner[0].pk):
        again = Project.objects.get(pk=first.pk)
    assert (second.pk, again.labels) == (first.pk, {"trigger": "other"})
    assert again.webhook_secret.reveal() == first.webhook_secret.reveal()
    assert rows_of(owner[0]) == (1, 1)


def refused(owner: tuple[Account, User], error: type[ForgeError], match: str, **fields: Any) -> None:
    with pytest.raises(error, match=match):
        connect(owner, **fields)
    assert rows_of(owner[0]) == (0, 0)


def test_a_missing_permission_is_named_and_nothing_is_kept(
    github: StandInGithub, repository: Repository, owner: tuple[Account, User]
):
    github.add_token(TOKEN, "paid-bot", permissions=ALL_PERMISSIONS - {"pull_requests:write"})
    refused(owner, MissingPermission, "The GitHub token lacks: Pull requests: read and write")


def test_each_bad_input_has_its_word_and_nothing_is_kept(
    github: StandInGithub, repository: Repository, owner: tuple[Account, User], settings: Any
):
    refused(owner, BadToken, "wrong, expired or revoked", token="ghp_wrong")
    refused(owner, NotFoundOnForge, "no repository acme/nothing", repository="acme/nothing")
    refused(owner, NotARepositoryName, "owner/name", repository="shop")
    refused(owner, NotALabel, "1 to 50 characters", label=" ")
    github.state.add_repository("acme", "bare").collaborators["paid-bot"] = "write"
    refused(owner, RepositoryEmpty, "no commit yet", repository="acme/bare")
    settings.GITHUB_API_URL = "http://127.0.0.1:9"
    refused(owner, ForgeUnavailable, r"GitHub \(127.0.0.1:9\) did not answer")


@pytest.mark.parametrize(
    "text", ["", "a", "a/b/c", "../x", "a/..", "https://evil.example/a/b", "a b/c", "a/b c", "-a/b"]
)
def test_what_is_no_repository_is_refused(text: str):
    with pytest.raises(NotARepositoryName):
        parse_repository(text)
