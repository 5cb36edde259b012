"""Trying prompts out with real issues, checking a text while it is written, and taking a version away as a file."""

from django.http import Http404, HttpResponse
from django.shortcuts import render

from accounts.models import Role
from dashboard.forms.prompts import VersionForm
from dashboard.prompt_trial import try_out
from dashboard.views.access import AccountRequest, account_page, get_prompt
from dashboard.views.prompts import find_version, is_own
from projects.models import Issue
from prompts.files import file_of, format_prompt_file
from prompts.models import Prompt
from prompts.operations import PromptText
from prompts.querysets import versions_of

ISSUES_OFFERED = 50


@account_page()
def prompt_try(request: AccountRequest, prompt_id: int) -> HttpResponse:
    """A version with an issue's words: what would be sent."""
    prompt = get_prompt(request, prompt_id)
    versions = list(versions_of(prompt))
    number = request.GET.get("version", "")
    shown = find_version(versions, number) if number else prompt.current_version or next(iter(versions), None)
    if shown is None:
        raise Http404
    issues = issues_for(request.account.pk, prompt)
    issue = _chosen(issues, request.GET.get("issue", "")) or next(iter(issues), None)
    context = {
        "prompt": prompt,
        "versions": versions,
        "shown": shown,
        "issues": issues,
        "trial": try_out(PromptText(shown.template, shown.system_prompt), issue),
    }
    return render(request, "dashboard/prompts/try.html", context)


@account_page("POST", role=Role.MEMBER)
def prompt_check(request: AccountRequest, prompt_id: int) -> HttpResponse:
    """The text that is being written, checked and filled in; nothing is saved. By htmx only the outcome."""
    prompt = get_prompt(request, prompt_id)
    versions = list(versions_of(prompt))
    number = request.POST.get("version", "")
    issues = issues_for(request.account.pk, prompt)
    issue = _chosen(issues, request.POST.get("issue", ""))
    form = VersionForm(request.POST)
    form.is_valid()  # to have the texts cleaned; a missing one is told by the check itself
    text = PromptText(form.cleaned_data.get("template", ""), form.cleaned_data.get("system_prompt", ""))
    context = {
        "prompt": prompt,
        "base": find_version(versions, number) if number else None,
        "is_own": is_own(request, prompt),
        "issues": issues,
        "chosen_issue": issue,
        "trial": try_out(text, issue),
    }
    if request.htmx:
        return render(request, "dashboard/prompts/trial.html", context)
    return render(request, "dashboard/prompts/edit.html", context | {"form": VersionForm(initial=request.POST.dict())})


@account_page()
def prompt_file(request: AccountRequest, prompt_id: int) -> HttpResponse:
    """A version as the file that `import_prompts` reads."""
    prompt = get_prompt(request, prompt_id)
    number = request.GET.get("version", "")
    version = find_version(list(versions_of(prompt)), number) if number else prompt.current_version
    if version is None:
        raise Http404
    headers = {"Content-Disposition": f'attachment; filename="{prompt.slug}.md"'}
    content = format_prompt_file(file_of(prompt, version))
    return HttpResponse(content, content_type="text/markdown; charset=utf-8", headers=headers)


def issues_for(account_id: int, prompt: Prompt) -> list[Issue]:
    """The newest issues that a run could get this prompt for: of its project, else of the account.

    A walk back along issues_number_unique or issues_tenant_key. By time, for which there is no index, or with their
    projects joined, every issue of the account would be read and sorted.
    """
    issues = Issue.objects.filter(account_id=account_id).prefetch_related("project")
    if prompt.project_id is None:
        return list(issues.order_by("-account_id", "-pk")[:ISSUES_OFFERED])
    return list(issues.filter(project_id=prompt.project_id).order_by("-project_id", "-number")[:ISSUES_OFFERED])


def _chosen(issues: list[Issue], identity: str) -> Issue | None:
    return next((issue for issue in issues if str(issue.pk) == identity), None)
