"""Labels on versions: set, moved and taken away by people."""

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse

from accounts.models import Role
from dashboard.forms.prompts import LabelForm
from dashboard.views.access import AccountRequest, account_page, get_prompt
from dashboard.views.asking import FormPage, Question, ask, form_page
from dashboard.views.prompts import find_version, is_own
from prompts.labels import move_label, remove_label
from prompts.models import Prompt, PromptLabel
from prompts.querysets import versions_of


@account_page("GET", "POST", role=Role.MEMBER)
def prompt_label(request: AccountRequest, prompt_id: int, number: int) -> HttpResponse:
    """Let a label stand on this version, a new one or one that stands elsewhere."""
    prompt = _own(request, prompt_id)
    version = find_version(list(versions_of(prompt)), str(number))
    form = LabelForm(request.POST or None)
    if request.method == "POST" and form.is_valid():
        name = form.cleaned_data["name"]
        move_label(prompt=prompt, name=name, version=version, actor=request.user)
        messages.success(request, f"“{name}” stands on version {number}.")
        return redirect("prompt", request.account.slug, prompt_id)
    standing = ", ".join(PromptLabel.objects.filter(prompt=prompt).order_by("name").values_list("name", flat=True))
    page = FormPage(
        title=f"Label version {number}",
        button="Set label",
        back=reverse("prompt", args=[request.account.slug, prompt_id]),
        back_label=prompt.name,
        text="Programs can ask for the version with a label. A label stands on one version: setting it moves it."
        + (f" There are: {standing}." if standing else ""),
    )
    return form_page(request, page, form)


@account_page("GET", "POST", role=Role.MEMBER)
def prompt_label_remove(request: AccountRequest, prompt_id: int, label_id: int) -> HttpResponse:
    prompt = _own(request, prompt_id)
    label = PromptLabel.objects.select_related("prompt").filter(prompt=prompt, pk=label_id).first()
    if label is None:
        raise Http404
    back = reverse("prompt", args=[request.account.slug, prompt_id])
    if request.method == "POST":
        remove_label(label=label, actor=request.user)
        messages.success(request, f"The label “{label.name}” is gone.")
        return redirect(back)
    question = Question(
        title=f"Take the label “{label.name}” away?",
        text="Programs that ask for it will find no version. Moving it to another version keeps them going.",
        button="Take away",
        back=back,
        action=request.path,
    )
    return ask(request, question)


def _own(request: AccountRequest, prompt_id: int) -> Prompt:
    """Labels of a global prompt are the host's, set in the admin: here they are no page."""
    prompt = get_prompt(request, prompt_id)
    if not is_own(request, prompt):
        raise Http404
    return prompt
