"""A token is tried at once, and what it lacks is named as GitHub names it."""

from datetime import UTC, datetime

import pytest

from paid.lib.encryption import Secret
from projects.forges.base import NotFoundOnForge
from projects.forges.github.errors import BadToken, RepositoryEmpty
from projects.forges.github.token_check import TokenCheck, check_token
from tests.standins.github.fixtures import TOKEN
from tests.standins.github.server import StandInGithub
from tests.standins.github.state import ALL_PERMISSIONS, Repository


def check(repo: str = "shop") -> TokenCheck:
    return check_token(Secret(TOKEN), "acme", repo)


def test_a_fine_grained_token_that_suffices(github: StandInGithub, repository: Repository):
    github.add_token(TOKEN, "paid-bot", expires="2027-03-01 10:00:00 UTC")
    assert check() == TokenCheck(
        login="paid-bot",
        is_classic=False,
        scopes=(),
        expires_at=datetime(2027, 3, 1, 10, tzinfo=UTC),
        missing=(),
        default_branch="main",
        full_name="acme/shop",
    )


@pytest.mark.parametrize(("without", "missing"), [
    ({"issues:write"}, ("Issues: read and write",)),
    ({"pull_requests:write"}, ("Pull requests: read and write",)),
    ({"contents:write"}, ("Contents: read and write",)),
    ({"issues:write", "contents:write"}, ("Issues: read and write", "Contents: read and write")),
])  # fmt: skip
def test_each_missing_permission_is_named_and_nothing_was_created(
    github: StandInGithub, repository: Repository, without: set[str], missing: tuple[str, ...]
):
    github.add_token(TOKEN, "paid-bot", permissions=ALL_PERMISSIONS - without)
    assert check().missing == missing
    assert (repository.issues, repository.pull_requests) == ({}, {})
    assert repository.git("for-each-ref", "--format=%(refname)") == "refs/heads/main"


def test_a_token_that_may_only_read_issues_is_told_to_write_them(github: StandInGithub, repository: Repository):
    github.add_token(TOKEN, "paid-bot", permissions=(ALL_PERMISSIONS - {"issues:write"}) | {"issues:read"})
    assert check().missing == ("Issues: read and write",)


def test_a_classic_token_with_its_scope_suffices(github: StandInGithub, repository: Repository):
    github.add_token(TOKEN, "paid-bot", scopes=("repo", "read:org"))
    found = check()
    assert (found.is_classic, found.scopes, found.missing) == (True, ("repo", "read:org"), ())


def test_a_classic_token_without_its_scope_is_told_the_scope(github: StandInGithub, repository: Repository):
    github.add_token(TOKEN, "paid-bot", scopes=("read:org",))
    assert check().missing == ("the scope public_repo",)


def test_a_user_who_may_not_push_is_told_so(github: StandInGithub, repository: Repository):
    repository.collaborators["paid-bot"] = "read"
    assert check().missing == ("push access to acme/shop for paid-bot",)


def test_a_repository_outside_the_token_is_not_found(github: StandInGithub, repository: Repository):
    github.add_token(TOKEN, "paid-bot", repositories=("acme/other",))
    with pytest.raises(NotFoundOnForge, match="GitHub shows paid-bot no repository acme/shop"):
        check()


def test_an_unknown_token_is_a_bad_token(github: StandInGithub, repository: Repository):
    github.state.tokens.clear()
    with pytest.raises(BadToken):
        check()


def test_an_empty_repository_is_said_to_be_empty(github: StandInGithub, repository: Repository):
    github.state.add_repository("acme", "bare").collaborators["paid-bot"] = "write"
    with pytest.raises(RepositoryEmpty):
        check("bare")
