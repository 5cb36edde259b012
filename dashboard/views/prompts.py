"""Prompts: the list with its search, versions, and two of them side by side."""

from dataclasses import dataclass

from django.http import Http404, HttpResponse
from django.shortcuts import render
from django.utils.safestring import SafeString

from accounts.models import Role
from dashboard.highlights import excerpt
from dashboard.side_by_side import compare
from dashboard.views.access import AccountRequest, account_page, get_prompt, may
from prompts.models import Prompt, PromptVersion
from prompts.querysets import prompts_of, search_prompts, versions_of


@account_page()
def prompts(request: AccountRequest) -> HttpResponse:
    text = request.GET.get("text", "").strip()[:200].replace("\0", "")
    rows = (
        _found(request.account.pk, text) if text else [PromptRow(prompt) for prompt in prompts_of(request.account.pk)]
    )
    is_fragment = request.htmx and not request.htmx.history_restore_request
    template = "dashboard/prompts/rows.html" if is_fragment else "dashboard/prompts/list.html"
    return render(request, template, {"rows": rows, "text": text})


@dataclass(frozen=True)
class PromptRow:
    """A prompt, and where in its text the search hit."""

    prompt: Prompt
    excerpt: SafeString | None = None


def _found(account_id: int, text: str) -> list[PromptRow]:
    rows = []
    for prompt in search_prompts(account_id=account_id, text=text):
        version = prompt.current_version
        rows.append(PromptRow(prompt, excerpt(version.template, text) if version else None))
    return rows


@account_page()
def prompt(request: AccountRequest, prompt_id: int) -> HttpResponse:
    found = get_prompt(request, prompt_id)
    versions = list(versions_of(found))
    shown = find_version(versions, request.GET["version"]) if "version" in request.GET else found.current_version
    context = {
        "prompt": found,
        "versions": versions,
        "shown": shown or next(iter(versions), None),
        "may_edit": is_own(request, found) and may(request, Role.MEMBER),
        "may_copy": not is_own(request, found) and may(request, Role.MEMBER),
        "may_withdraw": is_own(request, found) and may(request, Role.MEMBER) and found.current_version_id is not None,
    }
    return render(request, "dashboard/prompts/prompt.html", context)


@account_page()
def prompt_compare(request: AccountRequest, prompt_id: int) -> HttpResponse:
    found = get_prompt(request, prompt_id)
    versions = list(versions_of(found))
    if not versions:
        raise Http404
    right = find_version(versions, request.GET.get("right", str(versions[0].version)))
    left = find_version(versions, request.GET.get("left", str(_parent_number(right))))
    context = {
        "prompt": found,
        "versions": versions,
        "left": left,
        "right": right,
        "template_rows": compare(left.template, right.template),
        "system_rows": compare(left.system_prompt, right.system_prompt),
        "has_changed_system": left.system_prompt != right.system_prompt,
    }
    return render(request, "dashboard/prompts/compare.html", context)


def is_own(request: AccountRequest, prompt: Prompt) -> bool:
    """Global prompts are the host's: an account writes one of its own instead, which then wins."""
    return prompt.account_id == request.account.pk


def find_version(versions: list[PromptVersion], number: str) -> PromptVersion:
    for version in versions:
        if str(version.version) == number:
            return version
    raise Http404


def _parent_number(version: PromptVersion) -> int:
    return version.parent_version.version if version.parent_version else version.version
