"""Tokens of the HTTP API: made by admins of the account, shown once, revoked."""

from django.conf import settings
from django.contrib import messages
from django.db.models import F
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.api_tokens import NewApiToken, create_api_token, revoke_api_token
from accounts.models import ApiToken, Role
from dashboard.api import document
from dashboard.api.reference import sections
from dashboard.forms.settings import ApiTokenForm
from dashboard.views.access import AccountRequest, account_page, may
from dashboard.views.asking import Question, ask


@account_page()
def settings_api(request: AccountRequest) -> HttpResponse:
    return _page(request, ApiTokenForm())


@account_page("POST", role=Role.ADMIN)
def settings_api_create(request: AccountRequest) -> HttpResponse:
    """The answer itself shows the token: a redirect would have to keep it somewhere on the way."""
    form = ApiTokenForm(request.POST)
    if not form.is_valid():
        return _page(request, form)
    made = create_api_token(account=request.account, actor=request.user, **form.cleaned_data)
    answer = _page(request, ApiTokenForm(), made)
    answer["Cache-Control"] = "no-store"
    return answer


@account_page("GET", "POST", role=Role.ADMIN)
def settings_api_revoke(request: AccountRequest, api_token_id: int) -> HttpResponse:
    token = get_object_or_404(ApiToken, account=request.account, pk=api_token_id)
    if request.method == "POST":
        revoke_api_token(token=token, actor=request.user)
        messages.success(request, f"“{token.name}” is revoked: it is refused from now on.")
        return redirect("settings_api", request.account.slug)
    question = Question(
        title=f"Revoke “{token.name}”?",
        text="Whatever sends this token is refused from the next request on. This cannot be undone.",
        button="Revoke",
        back=reverse("settings_api", args=[request.account.slug]),
        action=request.path,
    )
    return ask(request, question)


@account_page()
def settings_api_reference(request: AccountRequest) -> HttpResponse:
    """What programs may ask, from the OpenAPI document itself."""
    context = {
        "words": document.DESCRIPTION,
        "sections": sections(document.openapi(), request.build_absolute_uri("/")),
        "requests_per_minute": settings.API_REQUESTS_PER_MINUTE,
    }
    return render(request, "dashboard/settings/api_reference.html", context)


def _page(request: AccountRequest, form: ApiTokenForm, made: NewApiToken | None = None) -> HttpResponse:
    tokens = ApiToken.objects.filter(account=request.account).select_related("created_by")
    context = {
        "tokens": list(tokens.order_by(F("revoked_at").desc(nulls_first=True), "-created_at", "-pk")),
        "may_change": may(request, Role.ADMIN),
        "form": form,
        "made": made,
    }
    return render(request, "dashboard/settings/api.html", context, status=422 if form.errors else 200)
