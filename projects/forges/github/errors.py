"""What can go wrong with GitHub, in words for the person who must mend it."""

from projects.forges.base import ForgeError, ForgeUnavailable, NotFoundOnForge, PushRejected


class BadToken(ForgeError):
    """GitHub refused the token: it is wrong, expired or revoked. Save a new one under Settings, GitHub tokens."""

    code = "token_refused"


class NoToken(ForgeError):
    """The project has no GitHub token, or it was revoked. Save one under Settings and choose it for the project."""

    code = "token_missing"


class MissingPermission(ForgeError):
    """The GitHub token lacks a permission that this needs."""

    code = "permission_missing"

    def __init__(self, *permissions: str) -> None:
        wanted = " and ".join(permissions)
        super().__init__(f"The GitHub token lacks: {wanted}. Give it that on GitHub, then try again." if wanted else "")
        self.permissions = permissions


class RepositoryEmpty(ForgeError):
    """The repository has no commit yet, so there is nothing to branch from. Push a first commit."""

    code = "repository_empty"


class RepositoryTooBig(ForgeError):
    """The repository is larger than REPOSITORY_MAX_MEGABYTES allows."""

    code = "repository_too_large"


class RepositoryArchived(ForgeError):
    """The repository is archived on GitHub: nobody can push to it."""

    code = "repository_archived"


class RepositoryMoved(NotFoundOnForge):
    """The repository was renamed or moved on GitHub. Change owner and name in the project's settings."""

    code = "repository_moved"


class BranchTaken(PushRejected):
    """The branch exists on GitHub already and is not ours. Rename or delete it there, or retry the run."""

    code = "branch_taken"


class PushRefused(ForgeError):
    """GitHub refused the push: a rule of the repository forbids it."""

    code = "push_refused"


class NothingToPropose(ForgeError):
    """The branch has no commit that its base lacks: there is nothing to propose."""

    code = "no_changes"


class BaseBranchMissing(ForgeError):
    """The base branch is not on GitHub any more. Change the default branch in the project's settings."""

    code = "branch_missing"


class Refused(ForgeError):
    """GitHub found the request invalid."""


class AnswerNotUnderstood(ForgeUnavailable):
    """GitHub's answer was not what its description promises: perhaps a proxy answered in its place."""
