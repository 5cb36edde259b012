"""Prompts: the list with its search, versions, and two of them side by side."""

from django.http import Http404, HttpResponse
from django.shortcuts import render

from accounts.models import Role
from dashboard.side_by_side import compare
from dashboard.views.access import AccountRequest, account_page, get_prompt, may
from metrics.evolution.operations import waiting_proposals
from prompts.experiments.querysets import experiments_on
from prompts.listing import PromptPosition, prompt_page
from prompts.models import AbTestStatus, Prompt, PromptLabel, PromptVersion
from prompts.querysets import versions_of
from prompts.search import MAX_TEXT_CHARACTERS, search_prompts

HITS_SHOWN = 20
PAGE_SIZE = 50


@account_page()
def prompts(request: AccountRequest) -> HttpResponse:
    """All prompts, in pages, or those that answer `text`: by their current versions, or with `versions=all` by all."""
    text = request.GET.get("text", "").strip()[:MAX_TEXT_CHARACTERS]
    every_version = request.GET.get("versions") == "all"
    context = {"text": text, "every_version": every_version, "limit": HITS_SHOWN}
    if text:
        context["result"] = search_prompts(text=text, limit=HITS_SHOWN, every_version=every_version)
    else:
        after = PromptPosition.parse(request.GET.get("after", ""))
        context["page"] = prompt_page(request.account.pk, after=after, size=PAGE_SIZE)
    # A boosted or restored page asks for the whole of it.
    is_fragment = request.htmx and not request.htmx.history_restore_request
    return render(request, f"dashboard/prompts/{'rows' if is_fragment else 'list'}.html", context)


@account_page()
def prompt(request: AccountRequest, prompt_id: int) -> HttpResponse:
    found = get_prompt(request, prompt_id)
    versions = list(versions_of(found))
    shown = find_version(versions, request.GET["version"]) if "version" in request.GET else found.current_version
    context = {
        "prompt": found,
        "versions": versions,
        "shown": shown or next(iter(versions), None),
        "labels": list(PromptLabel.objects.filter(prompt=found).order_by("name")),
        "experiments": list(experiments_on(found, request.account.pk).exclude(status=AbTestStatus.COMPLETED)[:5]),
        "may_experiment": may(request, Role.MEMBER) and len(versions) > 1,
        "is_own": is_own(request, found),
        "proposals": waiting_proposals(found, request.account.pk),
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
