"""Fixtures: a stand-in for GitHub with one repository, and a project of Paid that is connected to it."""

import hashlib
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from accounts.models import Account, GithubToken
from paid.lib.tenancy import platform
from projects.models import ForgeKind, Project
from tests.standins.github.server import StandInGithub, running
from tests.standins.github.state import Repository

TOKEN = "github_pat_11STANDIN0_of_the_tests"
WEBHOOK_SECRET = "secret-of-the-webhook"


@pytest.fixture
def github(tmp_path: Path, settings: Any) -> Iterator[StandInGithub]:
    """The stand-in; whatever it answered must agree with GitHub's published description."""
    with running(tmp_path / "github") as server:
        settings.GITHUB_API_URL = server.api_url
        settings.GITHUB_URL = server.url
        server.add_token(TOKEN, "paid-bot")
        yield server
    assert server.deviations == []


@pytest.fixture
def repository(github: StandInGithub) -> Repository:
    """`acme/shop`: one commit on main; alice may write, bob may read."""
    found = github.state.add_repository("acme", "shop", files={"README.md": "A shop.\n"})
    found.collaborators |= {"paid-bot": "write", "alice": "write", "bob": "read"}
    return found


@pytest.fixture
def account(db: None) -> Account:
    with platform():
        return Account.objects.create(name="Acme", slug="acme")


@pytest.fixture
def project(account: Account, repository: Repository) -> Project:
    with platform():
        token = GithubToken.objects.create(
            account=account, name="tests", token=TOKEN, fingerprint=hashlib.sha256(TOKEN.encode()).digest()
        )
        return Project.objects.create(
            account=account,
            name="Shop",
            forge=ForgeKind.GITHUB,
            owner="acme",
            repo="shop",
            github_token=token,
            labels={"trigger": "paid"},
            webhook_secret=WEBHOOK_SECRET,
        )
