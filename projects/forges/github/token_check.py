"""What a token may do in one repository, found out before anybody depends on it.

A classic token tells its scopes in a header; a fine-grained one tells nothing, so each write that a run needs is
tried with an empty body: GitHub looks at permissions first (403 or 404) and at the body after that (422), and
an empty body can never create anything.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from urllib.parse import quote

from paid.lib.encryption import Secret
from projects.forges.base import NotFoundOnForge
from projects.forges.github import answers
from projects.forges.github.client import Answer, GithubClient
from projects.forges.github.errors import MissingPermission, Refused
from projects.forges.github.forge import check_usable

READ_ISSUES, WRITE_ISSUES = "Issues: read", "Issues: read and write"
WRITE_PULL_REQUESTS = "Pull requests: read and write"
WRITE_CONTENTS = "Contents: read and write"

EMPTY_WRITES = (
    ("issues", WRITE_ISSUES),
    ("pulls", WRITE_PULL_REQUESTS),
    ("git/refs", WRITE_CONTENTS),
)


@dataclass(frozen=True)
class TokenCheck:
    """`scopes` is empty for a fine-grained token; `missing` names permissions as GitHub's token page does."""

    login: str
    is_classic: bool
    scopes: tuple[str, ...]
    expires_at: datetime | None
    missing: tuple[str, ...]
    default_branch: str
    full_name: str


def check_token(token: Secret, owner: str, repo: str) -> TokenCheck:
    """Ask GitHub what the token may do in `owner/repo`.

    Raises BadToken, NotFoundOnForge (the repository does not exist or the token may not see it), RepositoryArchived,
    RepositoryTooBig, RepositoryEmpty, RateLimited, ForgeUnavailable. A missing permission is not raised but told.
    """
    with GithubClient(token) as client:
        user = client.get("user")
        login = user.read(answers.User).login
        path = f"repos/{quote(owner, safe='')}/{quote(repo, safe='')}"
        try:
            repository = client.get(path).read(answers.Repository)
        except NotFoundOnForge:
            raise NotFoundOnForge(
                f"GitHub shows {login} no repository {owner}/{repo}: check its name, and that the token covers it."
            ) from None
        check_usable(repository)
        missing = _missing(client, path, repository, login)
        if WRITE_CONTENTS not in missing:
            client.get(f"{path}/commits", per_page=1)  # raises RepositoryEmpty
    return TokenCheck(
        login=login,
        is_classic="x-oauth-scopes" in user.headers,
        scopes=_scopes(user),
        expires_at=_expiry(user),
        missing=_in_words_of(user, repository, missing),
        default_branch=repository.default_branch,
        full_name=repository.full_name,
    )


def _missing(client: GithubClient, path: str, repository: answers.Repository, login: str) -> tuple[str, ...]:
    if repository.permissions is not None and not repository.permissions.push:
        return (f"push access to {repository.full_name} for {login}",)
    missing = []
    if not _may_read(client, f"{path}/issues"):
        missing.append(READ_ISSUES)
    missing += [permission for target, permission in EMPTY_WRITES if not _may_write(client, f"{path}/{target}")]
    if WRITE_ISSUES in missing and READ_ISSUES in missing:
        missing.remove(READ_ISSUES)
    return tuple(missing)


def _may_read(client: GithubClient, path: str) -> bool:
    try:
        client.get(path, per_page=1)
    except (MissingPermission, NotFoundOnForge):
        return False
    return True


def _may_write(client: GithubClient, path: str) -> bool:
    try:
        client.send("POST", path, {})
    except (MissingPermission, NotFoundOnForge):
        return False
    except Refused:
        return True
    return True


def _in_words_of(user: Answer, repository: answers.Repository, missing: tuple[str, ...]) -> tuple[str, ...]:
    """A classic token has no such permissions but one scope for all of them."""
    scope = "repo" if repository.private else "public_repo"
    is_by_scope = "x-oauth-scopes" in user.headers and not {"repo", scope} & set(_scopes(user))
    return (f"the scope {scope}",) if missing and is_by_scope else missing


def _scopes(user: Answer) -> tuple[str, ...]:
    return tuple(scope.strip() for scope in user.headers.get("x-oauth-scopes", "").split(",") if scope.strip())


def _expiry(user: Answer) -> datetime | None:
    text = user.headers.get("github-authentication-token-expiration", "")
    for shape in ("%Y-%m-%d %H:%M:%S UTC", "%Y-%m-%d %H:%M:%S %z"):
        try:
            moment = datetime.strptime(text, shape)
        except ValueError:
            continue
        return moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return None
