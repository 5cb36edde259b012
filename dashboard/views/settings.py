"""Settings of the person and of the account."""

from django import forms
from django.contrib import messages
from django.contrib.auth import update_session_auth_hash
from django.db.models import F
from django.http import HttpResponse
from django.shortcuts import get_object_or_404, redirect, render
from django.urls import reverse

from accounts.credentials import DuplicateCredential, add_provider_key, revoke
from accounts.models import GithubToken, Membership, ProviderKey, Role
from accounts.people import EmailTaken, change_password, save_profile
from dashboard.forms.settings import ConnectGithubForm, PasswordForm, ProfileForm, ProviderKeyForm
from dashboard.views.access import AccountRequest, account_page, may
from dashboard.views.asking import Question, ask
from paid.lib.addresses import AddressRefused
from projects.connections import NotALabel, NotARepositoryName, connect_github
from projects.forges.base import ForgeError, NotFoundOnForge
from projects.forges.github.errors import BadToken, MissingPermission
from projects.models import ForgeKind, Project

# Beside which field of the form a refusal belongs; the others stand above it.
_FIELD_OF: dict[type[ForgeError], str] = {
    NotARepositoryName: "repository",
    NotFoundOnForge: "repository",
    NotALabel: "label",
    BadToken: "token",
    MissingPermission: "token",
}


def _profile(request: AccountRequest, profile: forms.Form, password: forms.Form) -> HttpResponse:
    status = 422 if profile.errors or password.errors else 200
    context = {"profile_form": profile, "password_form": password}
    return render(request, "dashboard/settings/profile.html", context, status=status)


def _profile_form(request: AccountRequest) -> ProfileForm:
    return ProfileForm(initial={"name": request.user.name, "email": request.user.email})


@account_page()
def settings_index(request: AccountRequest) -> HttpResponse:
    """To the first tab."""
    return redirect("settings_profile", request.account.slug)


@account_page("GET", "POST")
def settings_profile(request: AccountRequest) -> HttpResponse:
    form = ProfileForm(request.POST) if request.method == "POST" else _profile_form(request)
    if request.method == "POST" and form.is_valid():
        try:
            save_profile(user=request.user, name=form.cleaned_data["name"], email=form.cleaned_data["email"])
        except EmailTaken as error:
            form.add_error("email", str(error))
        else:
            messages.success(request, "Your profile is saved.")
            return redirect("settings_profile", request.account.slug)
    return _profile(request, form, PasswordForm(request.user))


@account_page("POST")
def settings_password(request: AccountRequest) -> HttpResponse:
    form = PasswordForm(request.user, request.POST)
    if not form.is_valid():
        return _profile(request, _profile_form(request), form)
    change_password(user=request.user, account_id=request.account.pk, password=form.cleaned_data["new_password1"])
    update_session_auth_hash(request, request.user)
    messages.success(request, "Your password is changed. Other browsers are signed out.")
    return redirect("settings_profile", request.account.slug)


@account_page()
def settings_members(request: AccountRequest) -> HttpResponse:
    members = Membership.objects.filter(account=request.account).select_related("user").order_by("user__name", "id")
    return render(request, "dashboard/settings/members.html", {"members": list(members)})


@account_page()
def settings_github(request: AccountRequest) -> HttpResponse:
    return _github(request, ConnectGithubForm())


@account_page("POST", role=Role.ADMIN)
def settings_github_connect(request: AccountRequest) -> HttpResponse:
    form = ConnectGithubForm(request.POST)
    if form.is_valid():
        try:
            project = connect_github(account=request.account, actor=request.user, **form.cleaned_data)
        except ForgeError as error:
            form.add_error(_FIELD_OF.get(type(error)), str(error) or error.__doc__ or "")
        else:
            messages.success(request, f"{project} is connected. Label an issue to give it to an agent.")
            return redirect("project", request.account.slug, project.pk)
    return _github(request, form)


@account_page("GET", "POST", role=Role.ADMIN)
def settings_github_revoke(request: AccountRequest, token_id: int) -> HttpResponse:
    token = get_object_or_404(GithubToken.objects.defer("token"), account=request.account, pk=token_id)
    return _revoke(request, token, f"Revoke the token “{token.name}”?", "settings_github")


def _github(request: AccountRequest, form: forms.Form) -> HttpResponse:
    tokens = GithubToken.objects.filter(account=request.account).listed()
    context = {
        "tokens": list(tokens.order_by(F("revoked_at").desc(nulls_first=True), "-created_at")),
        "may_change": may(request, Role.ADMIN),
        "form": form,
        "projects": list(
            Project.objects.filter(account=request.account, forge=ForgeKind.GITHUB).order_by("owner", "repo")
        ),
    }
    return render(request, "dashboard/settings/github.html", context, status=422 if form.errors else 200)


@account_page()
def settings_keys(request: AccountRequest) -> HttpResponse:
    return _keys(request, ProviderKeyForm())


@account_page("POST", role=Role.ADMIN)
def settings_keys_add(request: AccountRequest) -> HttpResponse:
    form = ProviderKeyForm(request.POST)
    if form.is_valid():
        try:
            add_provider_key(account=request.account, actor=request.user, **form.cleaned_data)
        except DuplicateCredential as error:
            form.add_error("name", str(error))
        except AddressRefused as error:
            form.add_error("base_url", str(error))
        else:
            messages.success(request, "The key is added and sealed.")
            return redirect("settings_keys", request.account.slug)
    return _keys(request, form)


@account_page("GET", "POST", role=Role.ADMIN)
def settings_keys_revoke(request: AccountRequest, key_id: int) -> HttpResponse:
    key = get_object_or_404(ProviderKey.objects.defer("key"), account=request.account, pk=key_id)
    return _revoke(request, key, f"Revoke the key “{key.name}”?", "settings_keys")


def _keys(request: AccountRequest, form: forms.Form) -> HttpResponse:
    keys = ProviderKey.objects.filter(account=request.account).defer("key")
    context = {
        "keys": list(keys.order_by(F("revoked_at").desc(nulls_first=True), "provider", "name")),
        "may_change": may(request, Role.ADMIN),
        "form": form,
    }
    return render(request, "dashboard/settings/keys.html", context, status=422 if form.errors else 200)


def _revoke(request: AccountRequest, credential: GithubToken | ProviderKey, title: str, back: str) -> HttpResponse:
    if request.method == "POST":
        revoke(credential=credential, actor=request.user)
        messages.success(request, "It is revoked: nothing may use it from now on.")
        return redirect(back, request.account.slug)
    question = Question(
        title=title,
        text="Paid stops using it at once. This cannot be undone; you can add a new one. Revoke it at its issuer too.",
        button="Revoke",
        back=reverse(back, args=[request.account.slug]),
        action=request.path,
    )
    return ask(request, question)
