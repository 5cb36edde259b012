"""This machine as a forge: a bare git repository per project; issues, comments and pull requests are rows.

Each call is one transaction. Nothing here runs hooks or reads a host's git settings.
"""

from collections.abc import Callable, Mapping
from functools import wraps
from pathlib import Path
from typing import Concatenate, ParamSpec, TypeVar

from django.db import connection, transaction
from django.db.models import Max
from django.utils import timezone

from paid.lib.git import GitFailed, git, git_text
from paid.lib.tenancy import tenant
from projects.forges import base
from projects.forges.base import ForgeError, ForgeIssue, ForgePullRequest, MergeConflict, NotFoundOnForge, PushRejected
from projects.models import Comment, Issue, IssueState, Project, PullRequest, PullRequestState
from projects.querysets import closed_by
from projects.repositories import local_repository

Parameters = ParamSpec("Parameters")
Told = TypeVar("Told")

PAID_AUTHOR = "Paid"
_STATES: dict[str, base.PullRequestState] = {"open": "open", "merged": "merged", "closed": "closed"}
# Who merges is on the row; the commit is made by the forge, as on other forges.
_IDENTITY = {
    "GIT_AUTHOR_NAME": PAID_AUTHOR,
    "GIT_AUTHOR_EMAIL": "paid@paid.invalid",
    "GIT_COMMITTER_NAME": PAID_AUTHOR,
    "GIT_COMMITTER_EMAIL": "paid@paid.invalid",
}


def as_tenant(
    method: Callable[Concatenate["LocalForge", Project, Parameters], Told],
) -> Callable[Concatenate["LocalForge", Project, Parameters], Told]:
    """One transaction, as whoever the caller is; a caller without any acts as the account of the project.

    Activities keep none open, because other forges are far away.
    """

    @wraps(method)
    def acting(self: "LocalForge", project: Project, /, *args: Parameters.args, **kwargs: Parameters.kwargs) -> Told:
        with transaction.atomic() if connection.in_atomic_block else tenant(project.account_id):
            return method(self, project, *args, **kwargs)

    return acting


class LocalForge:
    """See `projects.forges.base.Forge`."""

    def clone_url(self, project: Project) -> str:
        repository = local_repository(project)
        if not repository.is_dir():
            raise NotFoundOnForge(f"{project} has no repository on this machine.")
        return str(repository)

    def check_repository(self, project: Project) -> None:
        self.clone_url(project)

    def git_environment(self, project: Project) -> Mapping[str, str]:
        return {}

    def meaning_of_fetch(self, output: str) -> ForgeError | None:
        return None

    @as_tenant
    def fetch_issue(self, project: Project, number: int) -> ForgeIssue:
        issue = Issue.objects.filter(project=project, number=number).first()
        if issue is None:
            raise NotFoundOnForge(f"{project} has no issue #{number}.")
        return ForgeIssue(
            number=issue.number,
            title=issue.title,
            body=issue.body,
            state="open" if issue.state == IssueState.OPEN else "closed",
            labels=tuple(issue.labels),
            url=issue.url,
        )

    def push(self, project: Project, *, git_dir: str, branch: str, head_sha: str, expected_sha: str | None) -> None:
        if branch == project.default_branch:
            raise ForgeError(f"Paid never pushes to {branch}: that is what a person merges into.")
        reference, repository = f"refs/heads/{branch}", self.clone_url(project)
        if _tip(Path(repository), reference) == head_sha:
            return
        lease = f"--force-with-lease={reference}:{expected_sha or ''}"
        try:
            git(git_dir, ["push", "--quiet", "--no-verify", lease, repository, f"{head_sha}:{reference}"])
        except GitFailed as error:
            if "stale info" in str(error) or "rejected" in str(error):
                raise PushRejected(f"{branch} is not where this run left it.") from error
            raise ForgeError(str(error)) from error

    @as_tenant
    def find_or_create_pull_request(
        self, project: Project, *, branch: str, head_sha: str, title: str, body: str, marker: str
    ) -> ForgePullRequest:
        # The project's row is the turnstile for numbers and for markers.
        Project.objects.select_for_update(no_key=True).get(pk=project.pk)
        found = PullRequest.objects.filter(project=project, marker=marker).first()
        if found is not None:
            if found.state == PullRequestState.OPEN and found.head_sha != head_sha:
                found.head_sha = head_sha
                found.save(update_fields=["head_sha"])
            return _as_told(found)
        repository = Path(self.clone_url(project))
        if _tip(repository, f"refs/heads/{branch}") != head_sha:
            raise NotFoundOnForge(f"{project} has no branch {branch} at {head_sha[:10]}.")
        made = PullRequest.objects.create(
            account_id=project.account_id,
            project=project,
            issue=closed_by(project, body),
            number=next_number(project),
            marker=marker,
            title=title,
            body=body,
            head_branch=branch,
            base_branch=project.default_branch,
            head_sha=head_sha,
            base_sha=git_text(repository, "merge-base", f"refs/heads/{project.default_branch}", head_sha),
        )
        return _as_told(made)

    @as_tenant
    def comment(self, project: Project, number: int, *, body: str, marker: str) -> None:
        Comment.objects.bulk_create(
            [
                Comment(
                    account_id=project.account_id,
                    project=project,
                    number=number,
                    author=PAID_AUTHOR,
                    body=body,
                    marker=marker,
                )
            ],
            ignore_conflicts=True,
        )

    @as_tenant
    def label(self, project: Project, number: int, *, add: tuple[str, ...] = (), remove: tuple[str, ...] = ()) -> None:
        labelled: Issue | PullRequest | None = (
            Issue.objects.select_for_update(no_key=True).filter(project=project, number=number).first()
            or PullRequest.objects.select_for_update(no_key=True).filter(project=project, number=number).first()
        )
        if labelled is None:
            raise NotFoundOnForge(f"{project} has no issue or pull request #{number}.")
        kept = [label for label in labelled.labels if label not in remove]
        labelled.labels = [*kept, *(label for label in add if label not in kept)]
        labelled.save(update_fields=["labels"])

    @as_tenant
    def merge(self, project: Project, number: int) -> ForgePullRequest:
        pull_request = _locked(project, number)
        if pull_request.state == PullRequestState.CLOSED:
            raise ForgeError(f"#{number} is closed: reopen it before you merge it.")
        repository = Path(self.clone_url(project))
        merge_sha = _merge(repository, pull_request)
        if pull_request.state == PullRequestState.OPEN:
            pull_request.state = PullRequestState.MERGED
            pull_request.merged_at = pull_request.closed_at = timezone.now()
            pull_request.save(update_fields=["state", "merged_at", "closed_at"])
            if pull_request.issue_id is not None:
                Issue.objects.filter(pk=pull_request.issue_id).update(state=IssueState.CLOSED)
        return _as_told(pull_request, merge_sha)

    @as_tenant
    def close(self, project: Project, number: int) -> ForgePullRequest:
        pull_request = _locked(project, number)
        if pull_request.state == PullRequestState.OPEN:
            pull_request.state = PullRequestState.CLOSED
            pull_request.closed_at = timezone.now()
            pull_request.save(update_fields=["state", "closed_at"])
        return _as_told(pull_request)


def next_number(project: Project) -> int:
    """Issues and pull requests share one sequence. Call it with the project's row locked."""
    issues = Issue.objects.filter(project=project).aggregate(highest=Max("number"))["highest"]
    pull_requests = PullRequest.objects.filter(project=project).aggregate(highest=Max("number"))["highest"]
    return max(issues or 0, pull_requests or 0) + 1


def _locked(project: Project, number: int) -> PullRequest:
    found = PullRequest.objects.select_for_update(no_key=True).filter(project=project, number=number).first()
    if found is None:
        raise NotFoundOnForge(f"{project} has no pull request #{number}.")
    return found


def _as_told(row: PullRequest, merge_sha: str | None = None) -> ForgePullRequest:
    return ForgePullRequest(row.number, row.url, _STATES[row.state], row.head_sha, merge_sha)


def _tip(repository: Path, reference: str) -> str | None:
    try:
        return git_text(repository, "rev-parse", "--verify", "--quiet", "--end-of-options", reference)
    except GitFailed:
        return None


def _merge(repository: Path, pull_request: PullRequest) -> str:
    """Merge into the base branch and return its new tip; a head that is in it already leaves it as it is."""
    base_reference, head = f"refs/heads/{pull_request.base_branch}", pull_request.head_sha
    base_tip = _tip(repository, base_reference)
    if base_tip is None:
        raise NotFoundOnForge(f"There is no branch {pull_request.base_branch}.")
    try:
        if git_text(repository, "merge-base", base_tip, head) == head:
            return base_tip
    except GitFailed:
        raise NotFoundOnForge(f"The commit {head[:10]} is not in the repository.") from None
    try:
        tree = git_text(repository, "merge-tree", "--write-tree", base_tip, head).splitlines()[0]
    except GitFailed as error:
        raise MergeConflict(
            f"#{pull_request.number} no longer merges cleanly into {pull_request.base_branch}."
        ) from error
    message = f"Merge pull request #{pull_request.number} from {pull_request.head_branch}\n\n{pull_request.title}\n"
    arguments = ["commit-tree", tree, "-p", base_tip, "-p", head, "-F", "-"]
    made = git(repository, arguments, environment=_IDENTITY, stdin=message.encode()).decode().strip()
    # Fails when somebody moved the branch since it was read.
    git(repository, ["update-ref", base_reference, made, base_tip])
    return made
