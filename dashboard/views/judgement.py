"""What people decide about a pull request of this machine: merge, close, comment. Agents never do."""

from collections.abc import Callable

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.models import Role
from dashboard.forms.projects import CommentForm
from dashboard.views.access import AccountRequest, account_page, get_pull_request
from dashboard.views.asking import Question, ask
from dashboard.views.pull_requests import pull_request_page
from projects.forges.base import ForgeError
from projects.models import ForgeKind, PullRequest
from projects.reviews import close_pull_request, comment_on, merge_pull_request


@account_page("POST", role=Role.MEMBER)
def pull_request_comment(request: AccountRequest, pull_request_id: int) -> HttpResponse:
    found = _local(request, pull_request_id)
    form = CommentForm(request.POST)
    if not form.is_valid():
        return pull_request_page(request, found, form)
    comment_on(project=found.project, number=found.number, author=request.user, body=form.cleaned_data["body"])
    return redirect(reverse("pull_request", args=[request.account.slug, found.pk]) + "#comments")


@account_page("GET", "POST", role=Role.MEMBER)
def pull_request_merge(request: AccountRequest, pull_request_id: int) -> HttpResponse:
    found = _local(request, pull_request_id)
    question = Question(
        title=f"Merge #{found.number} into {found.base_branch}?",
        text="The branch is merged in the repository on this machine, and the issue is done.",
        button="Merge",
        back=reverse("pull_request", args=[request.account.slug, found.pk]),
        action=request.path,
        is_destructive=False,
    )
    return _judge(request, found, question, lambda: merge_pull_request(pull_request=found, actor=request.user))


@account_page("GET", "POST", role=Role.MEMBER)
def pull_request_close(request: AccountRequest, pull_request_id: int) -> HttpResponse:
    found = _local(request, pull_request_id)
    question = Question(
        title=f"Close #{found.number} without merging?",
        text="The branch stays. The issue stays open, and an agent can be started on it again.",
        button="Close",
        back=reverse("pull_request", args=[request.account.slug, found.pk]),
        action=request.path,
    )
    return _judge(request, found, question, lambda: close_pull_request(pull_request=found, actor=request.user))


def _judge(request: AccountRequest, found: PullRequest, question: Question, decide: Callable[[], None]) -> HttpResponse:
    if request.method != "POST":
        return ask(request, question)
    try:
        decide()
    except ForgeError as error:
        messages.error(request, str(error) or error.__doc__ or "")
    return redirect("pull_request", request.account.slug, found.pk)


def _local(request: AccountRequest, pull_request_id: int) -> PullRequest:
    """On GitHub people judge on GitHub."""
    found = get_pull_request(request, pull_request_id)
    if found.project.forge != ForgeKind.LOCAL:
        raise Http404
    return found
