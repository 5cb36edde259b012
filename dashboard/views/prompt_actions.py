"""Writing new versions of prompts, and choosing which one is in use."""

from django.contrib import messages
from django.http import HttpResponse
from django.shortcuts import redirect, render
from django.urls import reverse

from accounts.models import Role
from dashboard.forms.prompts import VersionForm
from dashboard.views.access import AccountRequest, account_page, get_prompt
from dashboard.views.asking import Question, ask
from dashboard.views.prompt_trials import issues_for
from dashboard.views.prompts import find_version, is_own
from prompts.errors import NothingChanged, PromptExists, TemplateRefused
from prompts.models import Prompt, PromptVersion
from prompts.operations import PromptText, create_prompt, promote, save_version, withdraw
from prompts.querysets import versions_of


@account_page("GET", "POST", role=Role.MEMBER)
def prompt_edit(request: AccountRequest, prompt_id: int) -> HttpResponse:
    """A new version of an own prompt; of a global one, the account's first own version."""
    prompt = get_prompt(request, prompt_id)
    versions = list(versions_of(prompt))
    number = (request.POST if request.method == "POST" else request.GET).get("version", "")
    base = find_version(versions, number) if number else prompt.current_version or next(iter(versions), None)
    if request.method == "POST":
        form = VersionForm(request.POST)
        if form.is_valid() and (saved_in := _save(request, prompt, base, form)) is not None:
            return redirect("prompt", request.account.slug, saved_in.pk)
    else:
        form = VersionForm(
            initial={"template": base.template if base else "", "system_prompt": base.system_prompt if base else ""}
        )
    issues = issues_for(request.account.pk, prompt)
    context = {"prompt": prompt, "base": base, "form": form, "is_own": is_own(request, prompt), "issues": issues}
    return render(request, "dashboard/prompts/edit.html", context, status=422 if form.errors else 200)


def _save(request: AccountRequest, prompt: Prompt, base: PromptVersion | None, form: VersionForm) -> Prompt | None:
    """The prompt that has the new version; None with the reason on the form when there is none."""
    text = PromptText(form.cleaned_data["template"], form.cleaned_data["system_prompt"])
    try:
        if not is_own(request, prompt):
            return _make_own(request, prompt, text, form.cleaned_data["change_notes"])
        saved = save_version(
            prompt=prompt,
            text=text,
            actor=request.user,
            expected_parent=base,
            change_notes=form.cleaned_data["change_notes"],
            is_promoted=form.cleaned_data["is_promoted"],
        )
    except TemplateRefused as error:
        for problem in error.problems:
            form.add_error("template", str(problem))
        return None
    except (NothingChanged, PromptExists) as error:
        form.add_error(None, str(error))
        return None
    if saved.newer:
        messages.warning(
            request,
            f"Version {saved.version.version} is saved, but not in use: somebody saved version "
            f"{saved.newer[-1].version} since you began. Compare the two, then use the one that you want.",
        )
    else:
        in_use = " and in use" if saved.is_current else ""
        messages.success(request, f"Version {saved.version.version} is saved{in_use}.")
    return prompt


def _make_own(request: AccountRequest, prompt: Prompt, text: PromptText, change_notes: str) -> Prompt:
    version = create_prompt(
        account_id=request.account.pk,
        slug=prompt.slug,
        name=prompt.name,
        category=prompt.category,
        text=text,
        actor=request.user,
        description=prompt.description,
        change_notes=change_notes,
    )
    messages.success(request, f"{request.account.name} has its own version now, and it wins over the global one.")
    return version.prompt


@account_page("GET", "POST", role=Role.MEMBER)
def prompt_promote(request: AccountRequest, prompt_id: int, number: int) -> HttpResponse:
    prompt = get_prompt(request, prompt_id)
    version = find_version(list(versions_of(prompt)), str(number))
    if not is_own(request, prompt):
        messages.error(request, "This prompt is global: only the host's staff changes it. Make your own of it.")
        return redirect("prompt", request.account.slug, prompt_id)
    if request.method == "POST":
        promote(prompt=prompt, version=version, actor=request.user)
        messages.success(request, f"Version {number} is in use.")
        return redirect("prompt", request.account.slug, prompt_id)
    question = Question(
        title=f"Use version {number} from now on?",
        text="Runs that start from now on get it. Runs under way keep what they were started with. You can go back.",
        button=f"Use version {number}",
        back=reverse("prompt", args=[request.account.slug, prompt_id]),
        action=request.path,
        is_destructive=False,
    )
    return ask(request, question)


@account_page("GET", "POST", role=Role.MEMBER)
def prompt_withdraw(request: AccountRequest, prompt_id: int) -> HttpResponse:
    prompt = get_prompt(request, prompt_id)
    if not is_own(request, prompt):
        messages.error(request, "This prompt is global: only the host's staff changes it.")
        return redirect("prompt", request.account.slug, prompt_id)
    if request.method == "POST":
        withdraw(prompt=prompt, actor=request.user)
        messages.success(request, "It is out of use. The next wider prompt with this slug counts again.")
        return redirect("prompt", request.account.slug, prompt_id)
    question = Question(
        title="Take this prompt out of use?",
        text="The next wider prompt with the same slug counts again. The versions stay; using one of them ends this.",
        button="Take out of use",
        back=reverse("prompt", args=[request.account.slug, prompt_id]),
        action=request.path,
    )
    return ask(request, question)
