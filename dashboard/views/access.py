"""Who may open a page. What a visitor may not see does not exist for them: 404, never 403.

403 is for members only: they know that the page is there, their role does not reach.
"""

from collections.abc import Callable
from functools import wraps
from typing import Any, cast

from django.contrib.auth.views import redirect_to_login
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseNotAllowed
from django.shortcuts import get_object_or_404
from django_htmx.middleware import HtmxDetails

from accounts.models import Account, Membership, Role, User
from agent_runs.models import AgentRun
from projects.models import Issue, Project, PullRequest
from prompts.models import AbTest, Prompt, StyleGuide

View = Callable[..., HttpResponseBase]


class AccountRequest(HttpRequest):
    """A request below `/a/<slug>/`, after the tenancy middleware: inside the account's transaction."""

    account: Account
    membership: Membership
    accounts: list[Account]  # all that the user is a member of, by name
    user: User
    htmx: HtmxDetails


def account_page(*methods: str, role: Role = Role.VIEWER) -> Callable[[View], View]:
    """A page of an account: for its members of at least `role`, with one of `methods` (GET when none is named)."""
    allowed = methods or ("GET",)

    def decorate(view: View) -> View:
        @wraps(view)
        def guarded(request: HttpRequest, slug: str, **kwargs: Any) -> HttpResponseBase:
            if not request.user.is_authenticated:
                return redirect_to_login(request.get_full_path())
            account_request = cast(AccountRequest, request)
            if account_request.account is None or account_request.account.slug != slug:
                raise Http404
            if request.method not in (*allowed, "HEAD" if "GET" in allowed else ""):
                return HttpResponseNotAllowed(allowed)
            if not account_request.membership.may(role):
                raise PermissionDenied
            return view(account_request, **kwargs)

        # The tests that open every page ask this for what can be opened.
        guarded.methods = allowed  # type: ignore[attr-defined]
        return guarded

    return decorate


def staff_page(view: View) -> View:
    """A page of the host's staff, read as the platform (the tenancy middleware says where). Others find none."""

    @wraps(view)
    def guarded(request: HttpRequest, **kwargs: Any) -> HttpResponseBase:
        if not request.user.is_authenticated:
            return redirect_to_login(request.get_full_path())
        if not request.user.is_staff:
            raise Http404
        if request.method not in ("GET", "HEAD"):
            return HttpResponseNotAllowed(("GET",))
        return view(request, **kwargs)

    return guarded


def get_project(request: AccountRequest, project_id: int) -> Project:
    return get_object_or_404(Project, account=request.account, pk=project_id)


def get_issue(request: AccountRequest, project_id: int, number: int) -> Issue:
    return get_object_or_404(
        Issue.objects.select_related("project"), account=request.account, project_id=project_id, number=number
    )


def get_run(request: AccountRequest, run_id: int) -> AgentRun:
    """The run alone. What it points to is read by key where it is asked for: joined, the tenant's policies on nine
    tables took twelve milliseconds to plan, and the plan read all of the account's issues."""
    return get_object_or_404(AgentRun, account=request.account, pk=run_id)


def get_pull_request(request: AccountRequest, pull_request_id: int) -> PullRequest:
    pull_requests = PullRequest.objects.select_related("project", "issue")
    return get_object_or_404(pull_requests, account=request.account, pk=pull_request_id)


def get_prompt(request: AccountRequest, prompt_id: int) -> Prompt:
    """A prompt of the account, or a global one, which everybody may read."""
    prompts = Prompt.objects.select_related("current_version", "project")
    return get_object_or_404(prompts, account_id__in=(0, request.account.pk), pk=prompt_id)


def get_style_guide(request: AccountRequest, style_guide_id: int) -> StyleGuide:
    """A style guide of the account or one of its projects, or a global one, which everybody may read."""
    guides = StyleGuide.objects.select_related("project")
    return get_object_or_404(guides, account_id__in=(0, request.account.pk), pk=style_guide_id)


def get_experiment(request: AccountRequest, experiment_id: int) -> AbTest:
    """An experiment of the account, on a prompt of its own or a global one."""
    tests = AbTest.objects.select_related("prompt__current_version", "winner", "created_by", "decided_by")
    return get_object_or_404(tests, account=request.account, pk=experiment_id)


def may(request: AccountRequest, role: Role) -> bool:
    return request.membership.may(role)


def may_work(membership: Membership) -> bool:
    """Whether a member may start and stop runs, write issues, and judge pull requests."""
    return membership.may(Role.MEMBER)
