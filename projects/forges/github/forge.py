"""The Forge protocol over GitHub. Its pull requests are kept as rows too, as copies of what GitHub tells.

No transaction is open while GitHub is asked: call it outside of `tenant()`, which it opens for its short writes.
"""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import datetime
from typing import TypeVar
from urllib.parse import quote

from django.conf import settings
from django.utils import timezone

from accounts.models import GithubToken
from paid.lib.encryption import Secret
from paid.lib.tenancy import tenant
from projects.forges.base import (
    ForgeError,
    ForgeIssue,
    ForgePullRequest,
    MergeConflict,
    NotFoundOnForge,
    PullRequestState,
)
from projects.forges.github import answers, git
from projects.forges.github.client import GithubClient
from projects.forges.github.errors import (
    BaseBranchMissing,
    MissingPermission,
    NothingToPropose,
    NoToken,
    Refused,
    RepositoryArchived,
    RepositoryEmpty,
    RepositoryTooBig,
)
from projects.forges.github.progress import Progress, checks_state, review_state
from projects.mirror import record_pull_request, store_state
from projects.models import Project

Shape = TypeVar("Shape", bound=answers.Lenient)


@dataclass(frozen=True)
class IssueListing:
    """Issues that changed, oldest change first. `etag` makes the next question conditional."""

    issues: tuple[ForgeIssue, ...]
    etag: str
    is_unchanged: bool = False


@dataclass(frozen=True)
class LabelEvent:
    """Who added the label last, and when."""

    actor: str
    at: datetime | None


def hidden(marker: str) -> str:
    """The marker as GitHub's Markdown does not show it."""
    return f"<!-- paid:{marker} -->"


def token_of(project: Project) -> Secret:
    """The project's token, read as its tenant. Raises NoToken."""
    if project.github_token_id is None:
        raise NoToken
    with tenant(project.account_id):
        row = GithubToken.objects.filter(pk=project.github_token_id, revoked_at__isnull=True).first()
        if row is None:
            raise NoToken
        GithubToken.objects.filter(pk=row.pk).update(last_used_at=timezone.now())
    token: Secret = row.token
    return token


@contextmanager
def client_of(project: Project) -> Iterator[GithubClient]:
    with GithubClient(token_of(project)) as client:
        yield client


def repository_path(project: Project) -> str:
    return f"repos/{quote(project.owner, safe='')}/{quote(project.repo, safe='')}"


class GithubForge:
    """See `projects.forges.base.Forge`. Each call opens the token anew, so that a revoked one stops at once."""

    def clone_url(self, project: Project) -> str:
        return f"{settings.GITHUB_URL}/{quote(project.owner, safe='')}/{quote(project.repo, safe='')}.git"

    def git_environment(self, project: Project) -> Mapping[str, str]:
        return git.authenticated(self.clone_url(project), token_of(project))

    def meaning_of_fetch(self, output: str) -> ForgeError | None:
        return git.fetch_error(output)

    def check_repository(self, project: Project) -> None:
        """Raises what would stop a run: RepositoryArchived, RepositoryTooBig, RepositoryEmpty, NotFoundOnForge."""
        with client_of(project) as client:
            check_usable(client.get(repository_path(project)).read(answers.Repository))
            client.get(f"{repository_path(project)}/commits", per_page=1)

    def fetch_issue(self, project: Project, number: int) -> ForgeIssue:
        with client_of(project) as client:
            issue = client.get(f"{repository_path(project)}/issues/{number}").read(answers.Issue)
        if issue.pull_request is not None:
            raise NotFoundOnForge(f"#{number} is a pull request, not an issue.")
        return as_forge_issue(issue)

    def refresh_issue(self, project: Project, number: int, etag: str) -> tuple[ForgeIssue | None, str]:
        """The issue with its new ETag; None when it is as it was at `etag`. Raises NotFoundOnForge."""
        with client_of(project) as client:
            answer = client.get(f"{repository_path(project)}/issues/{number}", etag=etag)
        if answer.is_unchanged:
            return None, etag
        return as_forge_issue(answer.read(answers.Issue)), answer.etag

    def pull_requests_unchanged(self, project: Project, etag: str) -> tuple[bool, str]:
        """Whether the repository's newest pull requests are as they were at `etag`, and the ETag of now."""
        parameters = {"state": "all", "sort": "updated", "direction": "desc"}
        with client_of(project) as client:
            answer = client.get(f"{repository_path(project)}/pulls", etag=etag, per_page=50, **parameters)
        return answer.is_unchanged, etag if answer.is_unchanged else answer.etag

    def list_issues(
        self, project: Project, *, label: str, since: datetime | None, etag: str = "", max_pages: int = 10
    ) -> IssueListing:
        """Issues with `label`, open and closed, that changed at or after `since`; pull requests are left out."""
        parameters = {"labels": label, "state": "all", "sort": "updated", "direction": "asc"}
        if since is not None:
            parameters["since"] = since.strftime("%Y-%m-%dT%H:%M:%SZ")
        found: list[ForgeIssue] = []
        first_etag = ""
        with client_of(project) as client:
            path = f"{repository_path(project)}/issues"
            for page in client.pages(path, etag=etag, max_pages=max_pages, **parameters):
                if page.is_unchanged:
                    return IssueListing((), etag, is_unchanged=True)
                first_etag = first_etag or page.etag
                issues = page.read(list[answers.Issue])
                found += [as_forge_issue(issue) for issue in issues if issue.pull_request is None]
        return IssueListing(tuple(found), first_etag)

    def last_labelled(self, project: Project, number: int, label: str) -> LabelEvent | None:
        """Who added `label` to the issue last; None when its history does not tell."""
        found = None
        with client_of(project) as client:
            for page in client.pages(f"{repository_path(project)}/issues/{number}/events"):
                for event in page.read(list[answers.IssueEvent]):
                    if event.event == "labeled" and event.label is not None and event.label.name == label:
                        found = LabelEvent(event.actor.login, event.created_at)
        return found

    def may_write(self, project: Project, login: str) -> bool:
        """Whether the GitHub user may push to the repository: only such a person may ask for a run."""
        path = f"{repository_path(project)}/collaborators/{quote(login, safe='')}/permission"
        with client_of(project) as client:
            try:
                permission = client.get(path).read(answers.CollaboratorPermission)
            except NotFoundOnForge:
                return False
        return permission.permission in ("admin", "maintain", "write")

    def push(self, project: Project, *, git_dir: str, branch: str, head_sha: str, expected_sha: str | None) -> None:
        git.push(
            git_dir=git_dir,
            url=self.clone_url(project),
            environment=self.git_environment(project),
            branch=branch,
            head_sha=head_sha,
            expected_sha=expected_sha,
        )

    def find_or_create_pull_request(
        self, project: Project, *, branch: str, head_sha: str, title: str, body: str, marker: str
    ) -> ForgePullRequest:
        with client_of(project) as client:
            told = _find_pull_request(client, project, branch, marker)
            if told is None:
                # GitHub's limit for titles.
                texts = {"title": title[:256], "body": _marked(body, marker)}
                told = _open_pull_request(client, project, branch, marker, texts)
        opened = _as_forge_pull_request(told)
        record_pull_request(
            project=project, opened=opened, marker=marker, title=title, body=body, branch=branch, base_sha=told.base.sha
        )
        return opened

    def comment(self, project: Project, number: int, *, body: str, marker: str) -> None:
        path = f"{repository_path(project)}/issues/{number}/comments"
        with client_of(project) as client:
            # Anybody may write our marker into a comment of theirs: only our own silences us.
            own_login = client.get("user").read(answers.User).login
            for page in client.pages(path):
                for comment in page.read(list[answers.Comment]):
                    if comment.user.login == own_login and hidden(marker) in comment.body:
                        return
            client.send("POST", path, {"body": _marked(body, marker)})

    def label(self, project: Project, number: int, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> None:
        path = f"{repository_path(project)}/issues/{number}/labels"
        with client_of(project) as client:
            if add:
                client.send("POST", path, {"labels": list(add)})
            for name in remove:
                try:
                    client.send("DELETE", f"{path}/{quote(name, safe='')}")
                except NotFoundOnForge:
                    continue  # it is not there, which is what was asked for

    def pull_request(self, project: Project, number: int) -> Progress:
        """What people and machines made of the pull request so far."""
        path = repository_path(project)
        with client_of(project) as client:
            pull_request = client.get(f"{path}/pulls/{number}").read(answers.PullRequest)
            reviews = [
                review
                for page in client.pages(f"{path}/pulls/{number}/reviews")
                for review in page.read(list[answers.Review])
            ]
            commit = f"{path}/commits/{quote(pull_request.head.sha, safe='')}"
            runs = _readable(client, f"{commit}/check-runs", answers.CheckRuns)
            status = _readable(client, f"{commit}/status", answers.CombinedStatus)
        return Progress(
            pull_request=_as_forge_pull_request(pull_request),
            merged_at=pull_request.merged_at,
            merged_by=pull_request.merged_by.login if pull_request.is_merged else "",
            closed_at=pull_request.closed_at,
            review_state=review_state(reviews),
            checks_state=checks_state(runs.check_runs, status),
        )

    def merge(self, project: Project, number: int) -> ForgePullRequest:
        path = f"{repository_path(project)}/pulls/{number}"
        with client_of(project) as client:
            before = client.get(path).read(answers.PullRequest)
            if not before.is_merged:
                try:
                    client.send("PUT", f"{path}/merge", {"sha": before.head.sha})
                except Refused as refusal:
                    raise MergeConflict(str(refusal)) from None
            return _kept(project, client.get(path).read(answers.PullRequest))

    def close(self, project: Project, number: int) -> ForgePullRequest:
        path = f"{repository_path(project)}/pulls/{number}"
        with client_of(project) as client:
            return _kept(project, client.send("PATCH", path, {"state": "closed"}).read(answers.PullRequest))


def check_usable(repository: answers.Repository) -> None:
    """Raises RepositoryArchived or RepositoryTooBig."""
    if repository.archived or repository.disabled:
        raise RepositoryArchived
    megabytes = repository.size // 1024
    if megabytes > settings.REPOSITORY_MAX_MEGABYTES:
        raise RepositoryTooBig(
            f"The repository holds {megabytes} MB; REPOSITORY_MAX_MEGABYTES allows {settings.REPOSITORY_MAX_MEGABYTES}."
        )


def as_forge_issue(issue: answers.Issue) -> ForgeIssue:
    return ForgeIssue(
        number=issue.number,
        title=issue.title[:1000],
        body=issue.body,
        state=issue.state,
        labels=issue.label_names,
        url=issue.html_url,
        forge_id=str(issue.id),
        author=issue.user.login,
        updated_at=issue.updated_at,
    )


def _as_forge_pull_request(pull_request: answers.PullRequest) -> ForgePullRequest:
    state: PullRequestState = "merged" if pull_request.is_merged else pull_request.state
    return ForgePullRequest(
        number=pull_request.number,
        url=pull_request.html_url,
        state=state,
        head_sha=pull_request.head.sha,
        merge_sha=pull_request.merge_commit_sha if pull_request.is_merged else None,
    )


def _open_pull_request(
    client: GithubClient, project: Project, branch: str, marker: str, texts: Mapping[str, str]
) -> answers.PullRequest:
    request = {**texts, "head": branch, "base": project.default_branch}
    try:
        return client.send("POST", f"{repository_path(project)}/pulls", request).read(answers.PullRequest)
    except Refused as refusal:
        # Another attempt may have won since we looked; else the refusal says what is wrong.
        found = _find_pull_request(client, project, branch, marker)
        if found is None:
            raise _why_no_pull_request(refusal) from None
        return found


def _kept(project: Project, told: answers.PullRequest) -> ForgePullRequest:
    """Note on our row what was just done, without waiting for the webhook that tells it."""
    done = _as_forge_pull_request(told)
    store_state(
        project=project,
        told=done,
        merged_at=told.merged_at,
        merged_by=told.merged_by.login if told.is_merged else "",
        closed_at=told.closed_at,
    )
    return done


def _readable(client: GithubClient, path: str, shape: type[Shape]) -> Shape:
    """What `path` holds, or nothing at all: a token that may not read checks is good enough to work with."""
    try:
        return client.get(path, per_page=100).read(shape)
    except MissingPermission:
        return shape()


def _marked(body: str, marker: str) -> str:
    return body if hidden(marker) in body else f"{body}\n\n{hidden(marker)}"


def _find_pull_request(client: GithubClient, project: Project, branch: str, marker: str) -> answers.PullRequest | None:
    """Ours is on our branch of this very repository: a fork's pull request may carry our marker, but not that."""
    head = f"{project.owner}:{branch}"
    for page in client.pages(f"{repository_path(project)}/pulls", head=head, state="all"):
        for candidate in page.read(list[answers.PullRequest]):
            own_repository = (candidate.head.repo or answers.RepositoryName()).full_name.lower()
            is_ours = own_repository == f"{project.owner}/{project.repo}".lower() and candidate.head.ref == branch
            # Somebody with push access opened one for our branch by hand: GitHub allows no second one.
            if is_ours and (hidden(marker) in candidate.body or candidate.state == "open"):
                return candidate
    return None


def _why_no_pull_request(refusal: Refused) -> Exception:
    text = str(refusal)
    if "No commits between" in text:
        return NothingToPropose()
    if "base" in text and "invalid" in text:
        return BaseBranchMissing()
    if "is empty" in text:
        return RepositoryEmpty()
    return refusal
