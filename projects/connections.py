"""Connecting a repository on GitHub: the token is tried first, then everything is written at once."""

import re
import secrets

from django.conf import settings
from django.db import transaction

from accounts.credentials import add_github_token, fingerprint
from accounts.models import Account, GithubToken, User
from accounts.operations import record_audit_event
from paid.lib.encryption import Secret
from projects.forges.base import ForgeError
from projects.forges.github.errors import MissingPermission
from projects.forges.github.token_check import TokenCheck, check_token
from projects.labels import DEFAULT_TRIGGER
from projects.models import ForgeKind, Project

REPOSITORY = re.compile(r"(?P<owner>[A-Za-z0-9](?:[A-Za-z0-9-]{0,38}))/(?P<repo>[A-Za-z0-9._-]{1,100}?)(?:\.git)?/?")
MAX_LABEL_CHARACTERS = 50  # GitHub's own limit


class NotARepositoryName(ForgeError):
    """This is not a repository: write it as owner/name, for example octocat/hello-world."""


class NotALabel(ForgeError):
    """This is not a label: GitHub wants 1 to 50 characters without a comma."""


def connect_github(
    *, account: Account, actor: User, token: str, repository: str, label: str = DEFAULT_TRIGGER
) -> Project:
    """Check the token against the repository at once, seal it, and make (or reconnect) the project.

    `repository` is `owner/name` or its address on GitHub. The project's `webhook_secret` is new for a new project.
    Call it inside of `tenant()`. Raises NotARepositoryName, NotALabel, BadToken, MissingPermission (whose
    `permissions` are named as on GitHub's token page), NotFoundOnForge, RepositoryEmpty, RepositoryArchived,
    RepositoryTooBig, RateLimited and ForgeUnavailable: all are ForgeErrors with words for the form.
    """
    owner, repo = parse_repository(repository)
    label, token = label.strip(), token.strip()
    if not label or len(label) > MAX_LABEL_CHARACTERS or "," in label:
        raise NotALabel
    check = check_token(Secret(token), owner, repo)
    if check.missing:
        raise MissingPermission(*check.missing)
    return _connect(account, actor, token, check, label)


def parse_repository(text: str) -> tuple[str, str]:
    """Owner and name. Raises NotARepositoryName."""
    name = text.strip().removeprefix(f"{settings.GITHUB_URL}/")
    match = REPOSITORY.fullmatch(name)
    if match is None or match["repo"] in (".", ".."):
        raise NotARepositoryName
    return match["owner"], match["repo"]


@transaction.atomic
def renew_webhook_secret(*, project: Project, actor: User) -> str:
    """A new secret, to be typed into GitHub; it is shown this once, and deliveries signed with the old one are refused.

    Call it inside of `tenant()`.
    """
    secret = secrets.token_urlsafe(32)
    project.webhook_secret = secret
    project.save(update_fields=["webhook_secret"])
    record_audit_event(
        account_id=project.account_id,
        actor=actor,
        action="project.webhook_secret.renew",
        object_type="project",
        object_id=project.pk,
    )
    return secret


@transaction.atomic
def _connect(account: Account, actor: User, token: str, check: TokenCheck, label: str) -> Project:
    # GitHub's own spelling, so that the same repository in other letters is the same project.
    owner, _, repo = check.full_name.partition("/")
    project, is_new = Project.objects.get_or_create(
        account=account,
        forge=ForgeKind.GITHUB,
        owner=owner,
        repo=repo,
        defaults={"name": repo, "webhook_secret": secrets.token_urlsafe(32)},
    )
    project.github_token = _kept(account, actor, token, check)
    project.default_branch = check.default_branch
    project.labels = {**project.labels, "trigger": label}
    project.is_active = True
    project.poll_state = {}
    project.save(update_fields=["github_token", "default_branch", "labels", "is_active", "poll_state"])
    record_audit_event(
        account_id=account.pk,
        actor=actor,
        action="project.connect" if is_new else "project.reconnect",
        object_type="project",
        object_id=project.pk,
        data={"repository": check.full_name, "github_login": check.login, "label": label},
    )
    return project


def _kept(account: Account, actor: User, token: str, check: TokenCheck) -> GithubToken:
    """The row of this token: the one that exists, or a new one."""
    found = GithubToken.objects.filter(account=account, fingerprint=fingerprint(token), revoked_at__isnull=True).first()
    return found or add_github_token(
        account=account,
        name=f"{check.login} for {check.full_name}"[:200],
        token=token,
        actor=actor,
        expires_on=check.expires_at.date() if check.expires_at else None,
        scopes=check.scopes,
    )
