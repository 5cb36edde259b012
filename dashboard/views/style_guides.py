"""Style guides: which there are and which one wins, one with its history, and writing them."""

from datetime import timedelta

from django.contrib import messages
from django.http import Http404, HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse
from django.utils import timezone

from accounts.history import history_of
from accounts.models import Role
from dashboard.forms.style_guides import StyleGuideForm
from dashboard.guide_page import HISTORY_SHOWN, difference, sent_of, told
from dashboard.views.access import AccountRequest, account_page, get_style_guide, may
from dashboard.views.asking import Question, ask
from dashboard.views.project_choice import chosen_project
from paid.lib.tenancy import GLOBAL_ACCOUNT_ID
from projects.models import Project
from prompts.errors import StyleGuideChanged, StyleGuideExists
from prompts.models import StyleGuide
from prompts.querysets import style_guides_for
from prompts.style_guide_operations import (
    OBJECT_TYPE,
    REMOVED,
    change_style_guide,
    create_style_guide,
    is_compressed_by_rule,
    remove_style_guide,
)

# How long a form may lie open while somebody removes its guide, and still be known.
FORM_LIFETIME = timedelta(days=2)


@account_page()
def style_guides(request: AccountRequest) -> HttpResponse:
    """All that the account may use; with a project, which of them its agents are told."""
    projects, project = chosen_project(request)
    guides = StyleGuide.objects.filter(account_id__in=(GLOBAL_ACCOUNT_ID, request.account.pk))
    listed = list(guides.select_related("project").order_by("project__name", "-account_id", "language", "name"))
    context = {
        "projects": projects,
        "project": project,
        "guides": [(guide, sent_of(guide.raw_text, guide.compressed_text)) for guide in listed],
        "winner": style_guides_for(project).first() if project else None,
        "may_edit": may(request, Role.MEMBER),
    }
    return render(request, "dashboard/prompts/style_guides.html", context)


@account_page()
def style_guide(request: AccountRequest, style_guide_id: int) -> HttpResponse:
    guide = get_style_guide(request, style_guide_id)
    is_own = guide.account_id == request.account.pk
    events = history_of(
        account_id=request.account.pk,
        object_type=OBJECT_TYPE,
        object_id=guide.pk,
        since=guide.created_at,
        limit=HISTORY_SHOWN,
    )
    context = {
        "guide": guide,
        "sent": sent_of(guide.raw_text, guide.compressed_text),
        "history": told(events, opened=request.GET.get("change", "")),
        "is_own": is_own,
        "may_edit": may(request, Role.MEMBER),
    }
    return render(request, "dashboard/prompts/style_guide.html", context)


@account_page("GET", "POST", role=Role.MEMBER)
def style_guide_new(request: AccountRequest) -> HttpResponse:
    """A new guide, empty or with the text of `from`, which may be a global one."""
    if request.method == "POST":
        form = StyleGuideForm(request.account, request.POST)
        if "preview" in request.POST:
            return _preview(request, form, None)
        if form.is_valid():
            try:
                guide = create_style_guide(account_id=request.account.pk, text=form.text(), actor=request.user)
            except StyleGuideExists as error:
                form.add_error("name", str(error))
            else:
                messages.success(request, "The style guide is saved. Runs that start from now on are told it.")
                return redirect("style_guide", request.account.slug, guide.pk)
        return _form(request, form, None)
    source = request.GET.get("from", "")
    initial = (
        StyleGuideForm.initial_of(get_style_guide(request, int(source)))
        if source.isascii() and source.isdecimal() and len(source) < 19
        else {"project": request.GET.get("project", "")}
    )
    return _form(request, StyleGuideForm(request.account, initial=initial), None)


@account_page("GET", "POST", role=Role.MEMBER)
def style_guide_edit(request: AccountRequest, style_guide_id: int) -> HttpResponse:
    guide = StyleGuide.objects.filter(account=request.account, pk=style_guide_id).first()
    if guide is None:
        return _removed_meanwhile(request, style_guide_id)
    if request.method == "GET":
        initial = StyleGuideForm.initial_of(guide) | {"opened_at": guide.updated_at.isoformat()}
        return _form(request, StyleGuideForm(request.account, initial=initial), guide)
    form = StyleGuideForm(request.account, request.POST)
    if "preview" in request.POST:
        return _preview(request, form, guide)
    if not form.is_valid():
        return _form(request, form, guide)
    was_by_rule = is_compressed_by_rule(guide)
    try:
        saved = change_style_guide(guide=guide, text=form.text(), actor=request.user, expected_updated_at=form.opened())
    except StyleGuideExists as error:
        form.add_error("name", str(error))
        return _form(request, form, guide)
    except StyleGuideChanged as error:
        return _conflict(request, error)
    except StyleGuide.DoesNotExist:
        return _removed_meanwhile(request, style_guide_id)
    messages.success(request, "The style guide is saved. Runs that start from now on are told it.")
    has_new_text = saved.raw_text != guide.raw_text
    if has_new_text and not was_by_rule and saved.compressed_text == guide.compressed_text:
        messages.warning(request, "Agents are told the short form, and you left it as it was. Does it still say all?")
    return redirect("style_guide", request.account.slug, guide.pk)


@account_page("GET", "POST", role=Role.MEMBER)
def style_guide_remove(request: AccountRequest, style_guide_id: int) -> HttpResponse:
    guide = get_object_or_404(StyleGuide, account=request.account, pk=style_guide_id)
    if request.method == "POST":
        remove_style_guide(guide=guide, actor=request.user)
        messages.success(request, f"The style guide “{guide.name}” is removed.")
        return redirect("style_guides", request.account.slug)
    question = Question(
        title=f"Remove the style guide “{guide.name}”?",
        text="Runs that start from now on are told the next wider one, if there is any. The audit log keeps its text.",
        button="Remove",
        back=reverse("style_guide", args=[request.account.slug, guide.pk]),
        action=request.path,
    )
    return ask(request, question)


def _form(request: AccountRequest, form: StyleGuideForm, guide: StyleGuide | None, **more: object) -> HttpResponse:
    languages = Project.objects.filter(account=request.account).values_list("settings__language", flat=True)
    context = {
        "form": form,
        "guide": guide,
        "back": reverse("style_guide", args=[request.account.slug, guide.pk])
        if guide
        else reverse("style_guides", args=[request.account.slug]),
        "languages": sorted({str(language) for language in languages if language}),
        **more,
    }
    status = 422 if form.is_bound and form.errors and "sent" not in more else 200
    return render(request, "dashboard/prompts/style_guide_form.html", context, status=status)


def _preview(request: AccountRequest, form: StyleGuideForm, guide: StyleGuide | None) -> HttpResponse:
    """What would be sent, of the text that is being written; nothing is saved. By htmx only that."""
    form.is_valid()  # to have the texts cleaned
    found = form.cleaned_data
    sent = sent_of(found.get("raw_text", ""), found.get("compressed_text", ""))
    if request.htmx:
        return render(request, "dashboard/prompts/guide_sent.html", {"sent": sent})
    return _form(request, form, guide, sent=sent)


def _conflict(request: AccountRequest, error: StyleGuideChanged) -> HttpResponse:
    """The person's text in the form and the other one beside it. Saving again replaces what they have now seen."""
    standing = error.standing
    data = request.POST.copy()
    data["opened_at"] = standing.updated_at.isoformat()
    form = StyleGuideForm(request.account, data)
    form.is_valid()
    mine = form.text()
    form.add_error(None, str(error))
    last = history_of(
        account_id=request.account.pk,
        object_type=OBJECT_TYPE,
        object_id=standing.pk,
        since=standing.created_at,
        limit=1,
    )
    theirs, own = sent_of(standing.raw_text, standing.compressed_text), sent_of(mine.raw_text, mine.compressed_text)
    return _form(
        request,
        form,
        standing,
        standing=standing,
        saved_by=last[0].actor if last else "",
        raw_rows=difference(standing.raw_text, mine.raw_text),
        sent_rows=[] if theirs.is_by_rule and own.is_by_rule else difference(theirs.text, own.text),
    )


def _removed_meanwhile(request: AccountRequest, style_guide_id: int) -> HttpResponse:
    """Who was writing when somebody removed the guide gets their text back, as a new one. For others there is none."""
    events = history_of(
        account_id=request.account.pk,
        object_type=OBJECT_TYPE,
        object_id=style_guide_id,
        since=timezone.now() - FORM_LIFETIME,
        limit=1,
    )
    if request.method != "POST" or not events or events[0].action != REMOVED:
        raise Http404
    form = StyleGuideForm(request.account, request.POST)
    form.is_valid()
    form.add_error(None, f"{events[0].actor} removed this style guide since you began. Saving writes it anew.")
    return _form(request, form, None)
